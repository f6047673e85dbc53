//! Values between the guest's types and PostgreSQL's. A parameter takes the type that the server
//! inferred for its place, so that a statement prepared once serves every call.

use capability::postgres::{Error, Row, Value};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgStatement, PgTypeInfo, PgValueRef};
use sqlx::{Arguments, Either, Encode, Postgres, Row as _, Statement, Type, TypeInfo, ValueRef};
use time::OffsetDateTime;

const MICROSECOND: i128 = 1_000;

/// NULL of whatever type the place wants.
struct Null;

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// The parameters in the form that the statement's places want.
pub(super) fn arguments(statement: &PgStatement, params: Vec<Value>) -> Result<PgArguments, Error> {
    let places = match statement.parameters() {
        Some(Either::Left(places)) => places,
        _ => &[],
    };
    if places.len() != params.len() {
        let (wants, got) = (places.len(), params.len());
        return Err(Error::Invalid(format!(
            "the statement has {wants} parameters, not {got}"
        )));
    }
    let mut arguments = PgArguments::default();
    for (number, (value, place)) in params.into_iter().zip(places).enumerate() {
        let place = place.name();
        add(&mut arguments, value, place)
            .map_err(|why| Error::Invalid(format!("parameter ${} ({place}): {why}", number + 1)))?;
    }
    Ok(arguments)
}

fn add(arguments: &mut PgArguments, value: Value, place: &str) -> Result<(), String> {
    let added = match (value, place) {
        (Value::Null, _) => arguments.add(Null),
        (Value::Boolean(v), "BOOL") => arguments.add(v),
        (Value::Int(v), "INT2") => arguments.add(i16::try_from(v).map_err(|e| e.to_string())?),
        (Value::Int(v), "INT4") => arguments.add(i32::try_from(v).map_err(|e| e.to_string())?),
        (Value::Int(v), "INT8") => arguments.add(v),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a float column cannot hold more"
        )]
        (Value::Int(v), "FLOAT8") => arguments.add(v as f64),
        (Value::Float(v), "FLOAT8") => arguments.add(v),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a real column cannot hold more"
        )]
        (Value::Float(v), "FLOAT4") => arguments.add(v as f32),
        (Value::Text(v), "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "unknown") => text(arguments, v)?,
        (Value::Bytes(v), "BYTEA") => arguments.add(v),
        (Value::Timestamp(v), "TIMESTAMPTZ") => arguments.add(instant(v)?),
        (Value::Timestamp(v), "TIMESTAMP") => {
            let at = instant(v)?;
            arguments.add(time::PrimitiveDateTime::new(at.date(), at.time()))
        }
        (Value::Uuid(v) | Value::Text(v), "UUID") => {
            arguments.add(v.parse::<sqlx::types::Uuid>().map_err(|e| e.to_string())?)
        }
        (Value::Json(v) | Value::Text(v), "JSON" | "JSONB") => {
            let json: Box<serde_json::value::RawValue> =
                serde_json::from_str(&v).map_err(|e| e.to_string())?;
            arguments.add(sqlx::types::Json(json))
        }
        (Value::Json(v), "TEXT" | "VARCHAR") => text(arguments, v)?,
        (value, _) => return Err(format!("cannot take {}; cast it", kind(&value))),
    };
    added.map_err(|e| e.to_string())
}

fn text(arguments: &mut PgArguments, v: String) -> Result<Result<(), BoxDynError>, String> {
    if v.contains('\0') {
        return Err("text cannot hold U+0000".into());
    }
    Ok(arguments.add(v))
}

fn instant(microseconds: i64) -> Result<OffsetDateTime, String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * MICROSECOND)
        .map_err(|e| e.to_string())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "boolean",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Timestamp(_) => "timestamp",
        Value::Uuid(_) => "uuid",
        Value::Json(_) => "json",
    }
}

/// A row in the guest's types.
pub(super) fn row(row: &PgRow) -> Result<Row, Error> {
    (0..row.len())
        .map(|at| {
            let raw = row.try_get_raw(at).map_err(super::failed)?;
            column(raw).map_err(|why| Error::Invalid(format!("column {}: {why}", at + 1)))
        })
        .collect()
}

fn column(raw: PgValueRef<'_>) -> Result<Value, String> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let name = raw.type_info().name().to_owned();
    let value = match name.as_str() {
        "BOOL" => Value::Boolean(decode(raw)?),
        "INT2" => Value::Int(decode::<i16>(raw)?.into()),
        "INT4" => Value::Int(decode::<i32>(raw)?.into()),
        "INT8" => Value::Int(decode(raw)?),
        "FLOAT4" => Value::Float(decode::<f32>(raw)?.into()),
        "FLOAT8" => Value::Float(decode(raw)?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "unknown" => Value::Text(decode(raw)?),
        "BYTEA" => Value::Bytes(decode(raw)?),
        "TIMESTAMPTZ" => microseconds(decode(raw)?)?,
        "TIMESTAMP" => microseconds(decode::<time::PrimitiveDateTime>(raw)?.assume_utc())?,
        "UUID" => Value::Uuid(decode::<sqlx::types::Uuid>(raw)?.to_string()),
        "JSON" | "JSONB" => {
            let json: sqlx::types::Json<Box<serde_json::value::RawValue>> = decode(raw)?;
            Value::Json(json.0.get().to_owned())
        }
        "VOID" => Value::Null,
        other => return Err(format!("{other} is not among the types; cast it")),
    };
    Ok(value)
}

fn decode<'r, T: sqlx::Decode<'r, Postgres>>(raw: PgValueRef<'r>) -> Result<T, String> {
    T::decode(raw).map_err(|e| e.to_string())
}

fn microseconds(at: OffsetDateTime) -> Result<Value, String> {
    i64::try_from(at.unix_timestamp_nanos() / MICROSECOND)
        .map(Value::Timestamp)
        .map_err(|e| e.to_string())
}

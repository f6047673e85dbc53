//! How often Amazon's services are called, and what they answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use capability::trace::{Cause, KeyValue, SpanKind};

/// A kind of call and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// As in `polly`.
    pub service: String,
    /// As in `SynthesizeSpeech`.
    pub operation: String,
    /// HTTP's; `None` where nobody answered.
    pub status: Option<u16>,
}

/// Every attempt is counted, also those that are made again.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<Call, u64>>>);

impl Calls {
    /// So far.
    pub fn all(&self) -> BTreeMap<Call, u64> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clone()
    }
}

/// When an attempt began that somebody wants to know of.
#[derive(Debug)]
struct Began(SystemTime);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

/// An attempt as a span: <https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/>
fn tell(call: &Call, request_id: Option<&str>, config: &ConfigBag) {
    let cause = Cause::now();
    let Some(Began(at)) = config.load::<Began>() else {
        return;
    };
    let mut span = cause
        .tracer
        .begin_at(Some(*at), SpanKind::Client, cause.span.as_ref(), || {
            let method = format!("{}/{}", call.service, call.operation);
            let attributes = vec![
                KeyValue::new("rpc.system.name", "aws-api"),
                KeyValue::new("rpc.method", method.clone()),
            ];
            (method, attributes)
        });
    match call.status {
        Some(status) => {
            span.set("http.response.status_code", i64::from(status));
            if status >= 400 {
                span.fail(status.to_string());
            }
        }
        None => span.fail("no answer"),
    }
    if let Some(id) = request_id {
        span.set("aws.request_id", id.to_owned());
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_wanted = Cause::with_now(|cause| cause.tracer.is_on() && cause.trace_id().is_some());
        if is_wanted == Some(true) {
            let began = Began(SystemTime::now());
            config.interceptor_state().store_put(began);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = config.load::<Metadata>() {
            let call = Call {
                service: metadata.service().to_lowercase(),
                operation: metadata.name().to_owned(),
                status: context
                    .response()
                    .map(|response| response.status().as_u16()),
            };
            let id = context.response().and_then(|response| {
                let headers = response.headers();
                headers
                    .get("x-amzn-requestid")
                    .or_else(|| headers.get("x-amz-request-id"))
            });
            tell(&call, id, config);
            let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *calls.entry(call).or_default() += 1;
        }
        Ok(())
    }
}

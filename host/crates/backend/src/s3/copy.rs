//! Copies within S3: by one request up to 5 GiB, by parts above.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::types::CompletedPart;
use capability::blobs::Error;
use futures::{StreamExt, TryStreamExt, stream};

use super::upload::{Calls, Upload};
use super::{Place, Sizes, failed};

/// S3 answers when all is copied, and 5 GiB take minutes.
const PATIENCE: Duration = Duration::from_secs(900);
/// Parts that are copied at once: S3 does it all, so only time is at stake.
const IN_FLIGHT: usize = 4;

fn patient() -> Builder {
    let timeouts = TimeoutConfig::builder()
        .read_timeout(PATIENCE)
        .operation_attempt_timeout(PATIENCE)
        .operation_timeout(PATIENCE);
    Builder::new().timeout_config(timeouts.build())
}

impl Place {
    /// As a header's value, where a name is escaped. Of what names are made of, `%` alone needs it.
    fn source(&self) -> String {
        format!("{}/{}", self.bucket, self.name.replace('%', "%25"))
    }
}

/// Replaces what `to` held by the `size` bytes of `from`.
pub(super) async fn copy(
    client: &Client,
    from: &Place,
    to: &Place,
    size: u64,
    sizes: Sizes,
) -> Result<(), Error> {
    if size > sizes.copy {
        return copy_parts(client, from, to, size, sizes.copy_part.max(1)).await;
    }
    let asked = client.copy_object().copy_source(from.source());
    let asked = asked.bucket(&to.bucket).key(&to.name).customize();
    let copied = asked.config_override(patient()).send().await;
    copied.map(drop).map_err(|e| failed(&e))
}

async fn copy_parts(
    client: &Client,
    from: &Place,
    to: &Place,
    size: u64,
    part: u64,
) -> Result<(), Error> {
    let upload = Upload::create(client.clone(), to.clone(), None).await?;
    let ranges = (0..size.div_ceil(part)).map(|at| (at * part, size.min((at + 1) * part) - 1));
    let copied = stream::iter((1..).zip(ranges))
        .map(|(number, (first, last))| {
            let range = format!("bytes={first}-{last}");
            let (calls, from) = (upload.calls.clone(), from.source());
            upload.part(async move { calls.copy(number, from, range).await })
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await;
    match copied {
        Ok(parts) => upload.finish(parts).await,
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

impl Calls {
    async fn copy(&self, number: i32, from: String, range: String) -> Result<CompletedPart, Error> {
        let asked = self.client.upload_part_copy().upload_id(&self.id);
        let copied = asked
            .bucket(&self.place.bucket)
            .key(&self.place.name)
            .part_number(number)
            .copy_source(from)
            .copy_source_range(range)
            .customize()
            .config_override(patient())
            .send()
            .await
            .map_err(|e| failed(&e))?;
        // Completing the upload refuses a part without a tag.
        let tag = copied.copy_part_result.and_then(|copied| copied.e_tag);
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(tag)
            .build())
    }
}

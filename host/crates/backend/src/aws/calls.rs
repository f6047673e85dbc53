//! How often Amazon's services are called, and what they answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

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

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "calls"
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
            let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *calls.entry(call).or_default() += 1;
        }
        Ok(())
    }
}

//! Rates that all hosts of one Redis share: GCRA in one script, by the server's clock, so that hosts
//! need not agree on the time, and a request costs one round trip however many rates it meets.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use capability::rates::{Asked, Away, Rates, Standing};
use redis::Script;

use super::{PREFIX, RedisCache};

/// Per key: when all of its requests are back, in microseconds since the epoch, which a Lua number holds
/// exactly. All rates let the request through, or none counts it. Answers per key: how many remain,
/// microseconds until all are back, and until the next may pass, -1 where this one does.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local back, answers, refused = {}, {}, false
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    back[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
    refused = refused or back[i] + interval - interval * burst > now
end
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local wait = back[i] + interval - interval * burst - now
    if not refused then
        back[i] = back[i] + interval
        redis.call('SET', key, string.format('%.0f', back[i]), 'PX', math.ceil((back[i] - now) / 1000))
    end
    local remaining = math.floor(burst - (back[i] - now) / interval)
    answers[i] = {math.max(remaining, 0), back[i] - now, wait > 0 and wait or -1}
end
return answers
",
    )
});

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn standing((remaining, reset, wait): (u32, u64, i64)) -> Standing {
    Standing {
        remaining,
        reset: Duration::from_micros(reset),
        retry: u64::try_from(wait).ok().map(Duration::from_micros),
    }
}

#[async_trait]
impl Rates for RedisCache {
    async fn take(&self, asked: &[Asked]) -> Result<Vec<Standing>, Away> {
        let mut call = TAKE.prepare_invoke();
        for Asked { name, who, rate } in asked {
            call.key(format!("{PREFIX}rate:{name}:{who:032x}"));
            call.arg(micros(rate.interval())).arg(rate.burst.get());
        }
        let answers = self.run(move |mut connection| {
            Box::pin(async move { call.invoke_async(&mut connection).await })
        });
        let answers: Vec<(u32, u64, i64)> = answers.await.map_err(|e| Away(e.to_string()))?;
        Ok(answers.into_iter().map(standing).collect())
    }
}

//! From the platform's own counters to metrics, by component and revision.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use capability::breaker::{Breaker, Position};
use prometheus_client::collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use runtime::Revision;
use runtime::stats::Snapshot;

use super::sample::Sampled;
use super::{BUCKETS, process};
use crate::assemble::Platform;
use crate::live::Live;

/// Reads the counters when it is asked.
pub(super) struct Collector {
    pub(super) platform: Arc<Platform>,
    pub(super) sampled: Sampled,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

/// A revision, and what it did.
struct Serving {
    labels: [(&'static str, String); 2],
    revision: Arc<Revision>,
    stats: Snapshot,
}

/// Those in service, and those that drain. One that serves again while its former self still drains is one
/// time series.
fn serving(live: &Live) -> Vec<Serving> {
    let table = live.table();
    let services = table.services().iter();
    let serving = services.flat_map(|service| service.revisions().cloned());
    let mut known = HashSet::new();
    let all = serving.chain(live.draining()).filter_map(|revision| {
        let labels = [
            ("component", revision.manifest().name.to_string()),
            // As the command line shows it.
            ("revision", revision.name().chars().take(12).collect()),
        ];
        known.insert(labels.clone()).then(|| Serving {
            labels,
            stats: revision.stats().snapshot(),
            revision,
        })
    });
    all.collect()
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let revisions = serving(self.platform.live());
        counted(&mut encoder, &revisions)?;
        latency(&mut encoder, &revisions)?;
        self.switches(&mut encoder)?;
        self.caches(&mut encoder)?;
        self.connections(&mut encoder)?;
        process::encode(&mut encoder)?;
        self.aws(&mut encoder)?;
        self.load(&mut encoder)?;
        self.sampled.encode(&mut encoder)
    }
}

/// A name, what it is, and where it is read.
type Count = (&'static str, &'static str, fn(&Serving) -> u64);

const COUNTERS: [Count; 8] = [
    (
        "errors",
        "Requests and events with a status of 500 or more, rejected, or without an answer",
        |r| r.stats.errors,
    ),
    ("requests_refused", "Requests that got no turn", |r| {
        r.stats.refused
    }),
    ("events", "Events that were handled", |r| r.stats.events),
    (
        "event_retries",
        "Events of these that are to be tried again",
        |r| r.stats.retries,
    ),
    ("dead_letters", "Events of these that were given up", |r| {
        r.stats.dead_letters
    }),
    (
        "traps",
        "Instances that ended in a trap or at a limit",
        |r| r.stats.traps,
    ),
    (
        "breaker_openings",
        "How often a component was no longer asked because it failed",
        |r| r.revision.breaker().opened(),
    ),
    (
        "denials",
        "Calls of what the manifest does not grant",
        |r| r.revision.denials(),
    ),
];

const GAUGES: [Count; 5] = [
    ("instances", "Instances, idle ones too", |r| {
        r.revision.instances() as u64
    }),
    ("in_hand", "Requests, streams and events in hand", |r| {
        r.revision.running() as u64
    }),
    (
        "breaker",
        "Whether a component is no longer asked: 0, or 2, and 1 while it is tried",
        |r| position(r.revision.breaker()).unsigned_abs(),
    ),
    (
        "outbound_breakers_open",
        "Servers of others that a component does not reach, and for now no longer asks",
        |r| r.revision.servers_given_up() as u64,
    ),
    ("queue", "Requests that wait for their turn", |r| {
        r.revision.waiting() as u64
    }),
];

/// What a revision counts itself.
fn counted(encoder: &mut DescriptorEncoder<'_>, revisions: &[Serving]) -> fmt::Result {
    for (name, help, read) in COUNTERS {
        let all = revisions.iter().map(|r| (r.labels.clone(), read(r)));
        counters(encoder, name, help, all)?;
    }
    for (name, help, read) in GAUGES {
        let all = revisions.iter().map(|r| (r.labels.clone(), gauge(read(r))));
        gauges(encoder, name, help, None, all)?;
    }
    Ok(())
}

fn latency(encoder: &mut DescriptorEncoder<'_>, revisions: &[Serving]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "http_request_duration",
        "From a request to its response's head",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for Serving { labels, stats, .. } in revisions {
        let bounds = BUCKETS.iter().map(std::time::Duration::as_secs_f64);
        let mut former = 0;
        // The encoder adds them up.
        let own = stats.within(&BUCKETS).into_iter().map(|within| {
            let own = within - former;
            former = within;
            own
        });
        let mut buckets: Vec<_> = bounds.zip(own).collect();
        let all = stats.requests.max(former);
        buckets.push((f64::INFINITY, all - former));
        let mut metric = family.encode_family(labels)?;
        metric.encode_histogram::<NoLabelSet>(stats.total.as_secs_f64(), all, &buckets, None)?;
    }
    Ok(())
}

impl Collector {
    fn switches(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let switches = self.platform.live().switches();
        let all = || {
            let all = switches.iter();
            all.map(|(name, switches)| ([("component", name.to_string())], switches))
        };
        let counts = all().map(|(labels, switches)| (labels, switches.count));
        counters(encoder, "switches", "Switches of a component", counts)?;
        let took = all().map(|(labels, switches)| (labels, switches.took.as_secs_f64()));
        let help = "What the switches took together";
        counters(encoder, "switching_seconds", help, took)?;
        let rollbacks = all().map(|(labels, switches)| (labels, switches.rollbacks));
        let help = "Canaries that were rolled back by themselves";
        counters(encoder, "canary_rollbacks", help, rollbacks)
    }

    fn caches(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let caches = self.platform.deployer().factory.caches();
        let all = caches.iter().flat_map(|(name, counts)| {
            counts.all().map(|(outcome, count)| {
                let component = ("component", name.to_string());
                ([component, ("outcome", outcome.to_owned())], count)
            })
        });
        counters(encoder, "cache_calls", "Calls of the cache", all)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let pools = self.platform.deployer().factory.connections();
        let all = pools.iter().flat_map(|(name, pool)| {
            let idle = pool.open.saturating_sub(pool.used);
            [("used", pool.used), ("idle", idle)].map(|(state, count)| {
                let component = ("component", name.to_string());
                ([component, ("state", state.to_owned())], i64::from(count))
            })
        });
        let help = "Connections to the database";
        gauges(encoder, "postgres_connections", help, None, all)?;
        let most = pools.iter().map(|(name, pool)| {
            let component = ("component", name.to_string());
            ([component], i64::from(pool.most))
        });
        let help = "Connections that there may be";
        gauges(encoder, "postgres_connections_max", help, None, most)
    }

    /// What the host has in hand as a whole, and what it refused because of that.
    fn load(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let flight = &self.platform.limits().flight;
        let (now, refused) = (flight.now() as u64, flight.refused());
        let help = "Requests in hand, of all components";
        gauges(
            encoder,
            "in_flight",
            help,
            None,
            [([], gauge(now))].into_iter(),
        )?;
        let help = "Requests that the host refused because it had too many in hand";
        counters(encoder, "requests_shed", help, [([], refused)].into_iter())?;
        let alone = self.platform.limits().alone();
        let help = "Requests whose rates this host counted alone, as Redis did not answer";
        counters(
            encoder,
            "rates_counted_alone",
            help,
            [([], alone)].into_iter(),
        )?;
        let refusals = self.platform.usage().refusals().into_iter();
        let refusals = refusals.map(|(kind, count)| ([("quota", kind.name().to_owned())], count));
        let help = "Calls that a user's budget had no room for";
        counters(encoder, "quota_refusals", help, refusals)?;
        let breakers = || {
            let all = self.platform.breakers().iter();
            all.map(|(name, breaker)| ([("server", (*name).to_owned())], breaker))
        };
        let open = breakers().map(|(labels, breaker)| (labels, position(breaker)));
        let help = "Whether a server is no longer asked: 0, or 2, and 1 while it is tried";
        gauges(encoder, "server_breaker", help, None, open)?;
        let opened = breakers().map(|(labels, breaker)| (labels, breaker.opened()));
        let help = "How often a server was given up";
        counters(encoder, "server_breaker_openings", help, opened)
    }

    fn aws(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let calls = self.platform.aws_calls().all();
        let all = calls.into_iter().map(|(call, count)| {
            let status = call.status.map_or_else(|| "none".into(), |s| s.to_string());
            let labels = [
                ("service", call.service),
                ("operation", call.operation),
                ("status", status),
            ];
            (labels, count)
        });
        let help = "Calls of Amazon's services, each attempt";
        counters(encoder, "aws_calls", help, all)
    }
}

impl Sampled {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let outboxes = || {
            let all = self.outboxes.iter();
            all.map(|(database, waiting)| ([("database", database.clone())], waiting))
        };
        let depth = outboxes().map(|(labels, waiting)| (labels, gauge(waiting.events)));
        let help = "Events that wait for the broker, counted up to 100,000";
        gauges(encoder, "outbox_events", help, None, depth)?;
        let age = outboxes().map(|(labels, waiting)| (labels, waiting.oldest.as_secs_f64()));
        let help = "Age of the oldest of them";
        gauges(encoder, "outbox_oldest", help, Some(&Unit::Seconds), age)?;
        let lags = self.lags.iter().map(|lag| {
            let labels = [("group", lag.group.clone()), ("topic", lag.topic.clone())];
            (labels, gauge(lag.events))
        });
        let help = "Events that a consumer group has still to handle";
        gauges(encoder, "consumer_lag", help, None, lags)?;
        let servers = self.servers.iter();
        let servers = servers.map(|(name, up)| ([("server", (*name).to_owned())], i64::from(*up)));
        let help = "Whether a server answers";
        gauges(encoder, "server_up", help, None, servers)
    }
}

fn position(breaker: &Breaker) -> i64 {
    match breaker.position() {
        Position::Closed => 0,
        Position::HalfOpen => 1,
        Position::Open => 2,
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counters<const N: usize, V: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    all: impl Iterator<Item = ([(&'static str, String); N], V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in all {
        let mut metric = family.encode_family(&labels)?;
        metric.encode_counter::<NoLabelSet, V, u64>(&value, None)?;
    }
    Ok(())
}

pub(super) fn gauges<const N: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    all: impl Iterator<Item = ([(&'static str, String); N], V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in all {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

//! Values with a range, checked where they are read: the error carries the place in the file.

use std::{fmt::Display, ops::RangeInclusive};

use mos_stack::{Tunnels, limits::FLOWS_CEILING};
use mos_text::{Echo, Span};
use serde::{Deserialize, Deserializer, de::Error};
use tracing::level_filters::LevelFilter;

use crate::words::bounds::WORKERS_MAX;

fn ranged<'de, D, T>(deserializer: D, key: &str, range: RangeInclusive<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + PartialOrd + Display,
{
    let given = i64::deserialize(deserializer)?;
    T::try_from(given).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        D::Error::custom(format_args!("{key} = {given} is not in {least} to {most}"))
    })
}

pub(super) fn workers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    ranged(deserializer, "workers", 1..=WORKERS_MAX)
}

pub(super) fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    ranged(deserializer, "connections_max", 1..=65_536)
}

pub(super) fn mbufs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "mbufs", 1024..=16_777_216)
}

pub(super) fn mbuf_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    ranged(deserializer, "mbuf_bytes", 1024..=16_384)
}

pub(super) fn tunnel_depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    ranged(deserializer, "depth_max", 0..=Tunnels::default().depth_max)
}

pub(super) fn flows_max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "flows_max", 1..=FLOWS_CEILING)
}

pub(super) fn demo_flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "flows", 1..=100_000)
}

pub(super) fn demo_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "rate_pps", 1..=10_000_000)
}

/// A span in which something may happen.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    if span.0.is_zero() {
        return Err(D::Error::custom("0s leaves no time: write more, such as 1s"));
    }
    Ok(span)
}

/// The level of the log. A directive that is a word alone is a level: `tracing` would take any
/// other word for the only target that may log.
pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let level = String::deserialize(deserializer)?;
    let is_unknown = |word: &&str| {
        !word.contains(['=', '[']) && (word.is_empty() || word.parse::<LevelFilter>().is_err())
    };
    match level.split(',').map(str::trim).find(is_unknown) {
        Some(word) => Err(D::Error::custom(format_args!(
            "{} is no level: write error, warn, info, debug or trace, or TARGET=LEVEL",
            Echo(word)
        ))),
        None => Ok(level),
    }
}

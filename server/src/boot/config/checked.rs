//! Values with a range, checked where they are read: the error carries the place in the file.

use std::{fmt::Display, ops::RangeInclusive};

use mos_stack::limits::FLOWS_CEILING;
use serde::{Deserialize, Deserializer, de::Error};

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

pub(super) fn flows_max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "flows_max", 1..=FLOWS_CEILING)
}

pub(super) fn demo_flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "flows", 1..=100_000)
}

pub(super) fn demo_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    ranged(deserializer, "rate_pps", 1..=10_000_000)
}

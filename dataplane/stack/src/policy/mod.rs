//! Which options a flow begins with: the first policy that fits its addresses, ports and VLAN.
//!
//! The table is compiled once and never changes; a worker looks it up when a flow begins, and for
//! no other packet. Each field of the tuple has a [column]: from a value to a set of
//! alternatives, a bit each, in match order. The first bit that is set in all sets is the match.
//! A lookup takes five binary searches, and at most 64 words of each set.

mod alternative;
mod column;
mod ranges;

#[cfg(test)]
mod tests;

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use self::column::{ALTERNATIVES_MAX, BORDERS_MAX, Column, WORD};
pub use self::{
    alternative::{AddressRanges, Alternative, EndRanges},
    ranges::{Number, Ranges},
};
use crate::{FlowTuple, Side, Sides, SockOpts, WorkerId};

/// What becomes of a flow that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It is monitored, and begins with these options.
    Monitor(SockOpts),
    /// It is not monitored: no flow begins, its packets are counted as excluded.
    Exclude,
}

/// One policy of a table.
#[derive(Debug, Clone)]
pub struct PolicyRule {
    /// A flow that fits any of these fits the policy.
    pub alternatives: Vec<Alternative>,
    /// What becomes of such a flow.
    pub treatment: Treatment,
    /// Counts them. Outlives the table.
    pub matches: Arc<MatchCount>,
}

/// How many flows a policy has matched, for each worker on a line of the cache of its own.
#[derive(Debug)]
pub struct MatchCount(Box<[CountOfWorker]>);

/// Worker: wo, control: ro.
#[derive(Debug, Default)]
#[repr(align(64))]
struct CountOfWorker(AtomicU64);

impl MatchCount {
    /// Nothing was matched yet, by any of this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CountOfWorker::default()).collect())
    }

    /// The flows that all workers have matched.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|CountOfWorker(count)| count.load(Relaxed)).sum()
    }

    /// Counts one. Only this worker writes here.
    fn count(&self, worker: WorkerId) {
        if let Some(CountOfWorker(count)) = self.0.get(usize::from(worker.index())) {
            count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }
}

/// Policies in match order, compiled.
#[derive(Debug)]
pub struct PolicyTable {
    generation: u64,
    rules: Vec<PolicyRule>,
    /// The rule of each alternative.
    owners: Vec<usize>,
    ends: Sides<EndColumns>,
    vlans: Column<u16>,
    /// Some rule excludes flows.
    excludes: bool,
}

/// The columns of one endpoint.
#[derive(Debug)]
struct EndColumns {
    v4: Column<u32>,
    v6: Column<u128>,
    ports: Column<u16>,
}

/// Why policies make no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyTableError {
    /// They have too many alternatives.
    #[error("the policies have {0} alternatives in all: {ALTERNATIVES_MAX} at most")]
    Alternatives(usize),
    /// A field is compared with too many values.
    #[error("the policies compare one field with more values than {BORDERS_MAX} borders hold")]
    Borders,
}

impl EndColumns {
    fn new(all: &[&Alternative], side: Side) -> Option<Self> {
        let ends = || all.iter().map(|one| &one.ends[side]);
        Some(Self {
            v4: Column::new(ends().map(|end| &end.addresses.v4))?,
            v6: Column::new(ends().map(|end| &end.addresses.v6))?,
            ports: Column::new(ends().map(|end| &end.ports))?,
        })
    }

    #[inline]
    fn address(&self, address: IpAddr) -> &[u64] {
        match address {
            IpAddr::V4(address) => self.v4.row(address.to_bits()),
            IpAddr::V6(address) => self.v6.row(address.to_bits()),
        }
    }
}

impl PolicyTable {
    /// Most alternatives that all rules have together.
    pub const ALTERNATIVES_MAX: usize = ALTERNATIVES_MAX;

    /// Compiles rules, the first of them matched first.
    ///
    /// # Errors
    ///
    /// A bound of the table: it takes 32 MiB at most.
    pub fn new(generation: u64, rules: Vec<PolicyRule>) -> Result<Self, PolicyTableError> {
        let all: Vec<_> = rules.iter().flat_map(|rule| &rule.alternatives).collect();
        if all.len() > ALTERNATIVES_MAX {
            return Err(PolicyTableError::Alternatives(all.len()));
        }
        let of_rule =
            |(at, rule): (usize, &PolicyRule)| core::iter::repeat_n(at, rule.alternatives.len());
        let owners = rules.iter().enumerate().flat_map(of_rule).collect();
        let end = |side| EndColumns::new(&all, side).ok_or(PolicyTableError::Borders);
        let ends = Sides { client: end(Side::Client)?, server: end(Side::Server)? };
        let vlans = Column::new(all.iter().map(|one| &one.vlans));
        let vlans = vlans.ok_or(PolicyTableError::Borders)?;
        let excludes = rules.iter().any(|rule| rule.treatment == Treatment::Exclude);
        Ok(Self { generation, rules, owners, ends, vlans, excludes })
    }

    /// The generation of the set of policies that it was compiled from.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The first rule that a flow with this tuple fits.
    #[must_use]
    pub fn find(&self, tuple: &FlowTuple) -> Option<usize> {
        let client = self.ends.client.address(tuple.client.ip());
        let server = self.ends.server.address(tuple.server.ip());
        let client_port = self.ends.client.ports.row(tuple.client.port());
        let server_port = self.ends.server.ports.row(tuple.server.port());
        let vlan = self.vlans.row(tuple.vlan.unwrap_or(Alternative::UNTAGGED));
        let ends = client.iter().zip(server);
        let rest = client_port.iter().zip(server_port).zip(vlan);
        let common = ends.zip(rest).map(|((a, b), ((c, d), e))| a & b & c & d & e);
        let (word, bits) = common.enumerate().find(|(_, bits)| *bits != 0)?;
        self.owners.get(word * WORD + bits.trailing_zeros() as usize).copied()
    }

    fn rule_for(&self, tuple: &FlowTuple) -> Option<&PolicyRule> {
        self.rules.get(self.find(tuple)?)
    }
}

/// The policies of one worker: none until it is given a table.
#[derive(Debug, Default)]
pub(crate) struct Policies(Option<Arc<PolicyTable>>);

impl Policies {
    /// Puts another table in force, and gives the one before back.
    pub(crate) const fn swap(
        &mut self,
        table: Option<Arc<PolicyTable>>,
    ) -> Option<Arc<PolicyTable>> {
        core::mem::replace(&mut self.0, table)
    }

    /// The generation in force; 0 without a table.
    pub(crate) fn generation(&self) -> u64 {
        self.0.as_ref().map_or(0, |table| table.generation)
    }

    /// What becomes of a flow that begins; `None` if no policy fits. A match is counted for the
    /// worker that is named.
    pub(crate) fn decide(
        &self,
        tuple: &FlowTuple,
        counted_for: Option<WorkerId>,
    ) -> Option<Treatment> {
        let rule = self.0.as_ref()?.rule_for(tuple)?;
        if let Some(worker) = counted_for {
            rule.matches.count(worker);
        }
        Some(rule.treatment)
    }

    /// Whether a policy excludes the connection of a packet without SYN: nobody knows which of the
    /// two is the client, so it may be either.
    pub(crate) fn excludes(&self, tuple: &FlowTuple) -> bool {
        let Some(table) = self.0.as_ref().filter(|table| table.excludes) else { return false };
        let FlowTuple { client, server, vlan } = *tuple;
        let reversed = FlowTuple { client: server, server: client, vlan };
        [tuple, &reversed].into_iter().any(|tuple| {
            table.rule_for(tuple).is_some_and(|rule| rule.treatment == Treatment::Exclude)
        })
    }
}

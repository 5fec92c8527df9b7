//! The file of policies, as a reload reads it again.

use std::sync::Arc;

use mos_stack::Limits;

use super::{
    config::Config,
    policies,
    reload::{Commit, Part},
};
use crate::policies::Policies;

/// The file, as a reload reads it again; `None` where the policies are not those of a file.
pub(super) fn part(policies: &Arc<Policies>, config: &Config, limits: Limits) -> Option<Part> {
    config.policies.file.as_ref()?;
    let in_force = Arc::clone(policies);
    Some(Part::new("policies.file", move |config| {
        let Some(path) = config.policies.file.as_deref() else {
            return Err("policies.file is gone: that takes a restart".to_owned());
        };
        policies::check(config, &limits).map_err(|error| error.to_string())?;
        let drafts = policies::read(path).map_err(|error| error.to_string())?;
        let prepared = in_force.prepare(path, drafts).map_err(|error| error.to_string())?;
        let in_force = Arc::clone(&in_force);
        let commit: Commit = Box::new(move || in_force.take(prepared));
        Ok(commit)
    }))
}

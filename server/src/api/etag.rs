//! Etags of a flow's options: weak, quoted, bound to this start of the process.

use mos_stack::FlowId;
use uuid::Uuid;

/// Makes and reads etags.
#[derive(Debug, Clone)]
pub(crate) struct Etags {
    boot: String,
}

impl Etags {
    /// Etags of the process with this boot id.
    #[must_use]
    pub(crate) fn new(boot: Uuid) -> Self {
        let mut boot = boot.simple().to_string();
        boot.truncate(8);
        Self { boot }
    }

    /// The etag of this revision of a flow's options.
    #[must_use]
    pub(crate) fn etag(&self, flow: FlowId, revision: u32) -> String {
        format!("W/\"{}-{flow}-{revision:x}\"", self.boot)
    }

    /// The revision that an etag of this flow stands for; `None` when it is not one of this flow
    /// or of another start of the process.
    #[must_use]
    pub(crate) fn revision(&self, flow: FlowId, etag: &str) -> Option<u32> {
        let revision = etag
            .strip_prefix("W/\"")?
            .strip_suffix('"')?
            .strip_prefix(&self.boot)?
            .strip_prefix('-')?
            .strip_prefix(&flow.to_string())?
            .strip_prefix('-')?;
        let revision = u32::from_str_radix(revision, 16).ok()?;
        (self.etag(flow, revision) == etag).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_back_for_its_own_flow_and_start_only() {
        let etags = Etags::new(Uuid::new_v4());
        let (flow, other) = (FlowId::from_bits(7).unwrap(), FlowId::from_bits(8).unwrap());
        let etag = etags.etag(flow, 0x9f);
        assert!(etag.starts_with("W/\"") && etag.ends_with("-9f\""), "{etag}");
        assert_eq!(etags.revision(flow, &etag), Some(0x9f));
        assert_eq!(etags.revision(other, &etag), None);
        assert_eq!(Etags::new(Uuid::new_v4()).revision(flow, &etag), None);
        for bad in ["", "\"9f\"", "W/\"\"", &etag.replace("-9f", "-+9f"), &etag[2..]] {
            assert_eq!(etags.revision(flow, bad), None, "{bad}");
        }
    }
}

//! The headers of a segment over IPv4, with or without a VLAN tag, as far as the least loop needs
//! them.

/// The parsed headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    /// Both addresses, the low end's first; the same for both directions.
    pub(super) addresses: u64,
    /// Both ports, the low end's first.
    pub(super) ports: u64,
    /// Whether the low end sent it.
    pub(super) from_low: bool,
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// `None` if the frame holds no segment over IPv4, or not all of its headers.
    #[inline]
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, rest) = frame.split_first_chunk::<14>()?;
        let ip = match [ethernet[12], ethernet[13]] {
            [0x08, 0x00] => rest,
            [0x81, 0x00] if rest.get(2..4)? == [0x08, 0x00] => &rest[4..],
            _ => return None,
        };
        let fixed = ip.first_chunk::<20>()?;
        let [first, _, l0, l1, _, _, f0, f1, _, protocol, ..] = *fixed;
        let is_fragment = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
        if first >> 4 != 4 || protocol != 6 || is_fragment {
            return None;
        }
        let header = usize::from(first & 0xf) * 4;
        let length = usize::from(u16::from_be_bytes([l0, l1])).min(ip.len());
        let segment = ip.get(header.max(20)..length)?;
        let tcp = segment.first_chunk::<20>()?;
        let payload = segment.get(usize::from(tcp[12] >> 4) * 4..)?;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        let [p0, p1, q0, q1, n0, n1, n2, n3, _, _, _, _, _, flags, ..] = *tcp;
        let source = (u32::from_be_bytes([s0, s1, s2, s3]), u16::from_be_bytes([p0, p1]));
        let target = (u32::from_be_bytes([d0, d1, d2, d3]), u16::from_be_bytes([q0, q1]));
        let from_low = source <= target;
        let (low, high) = if from_low { (source, target) } else { (target, source) };
        Some(Self {
            addresses: u64::from(low.0) << 32 | u64::from(high.0),
            ports: u64::from(low.1) << 16 | u64::from(high.1),
            from_low,
            flags,
            seq: u32::from_be_bytes([n0, n1, n2, n3]),
            payload,
        })
    }

    pub(super) const fn is_bare_syn(&self) -> bool {
        self.flags & 0x12 == 0x02
    }

    pub(super) const fn is_fin(&self) -> bool {
        self.flags & 0x01 != 0
    }
}

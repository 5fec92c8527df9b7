//! Received packets, and frames that borrow from them.
#![expect(unsafe_code, reason = "owns `rte_mbuf`s and reads their bytes")]

use std::{fmt, mem, ptr::NonNull, slice};

use arrayvec::ArrayVec;
use mos_stack::{Checksums, Frame, FrameSet, Instant, Link, limits::BURST};

/// One packet. Freed when it is dropped; whole bursts are cheaper through [`free_burst`].
#[repr(transparent)]
pub(crate) struct Mbuf(NonNull<dpdk_sys::rte_mbuf>);

// SAFETY: a packet may be used and freed on any thread, by one at a time: `Mbuf` is not `Clone`.
unsafe impl Send for Mbuf {}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mbuf")
    }
}

/// [`BURST`] as DPDK counts packets.
#[expect(clippy::cast_possible_truncation, reason = "a burst is 32 packets")]
pub(super) const BURST_U16: u16 = BURST as u16;

/// A burst of packets.
pub(crate) type Burst = ArrayVec<Mbuf, BURST>;

impl Mbuf {
    /// Takes ownership of a packet; `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// The packet must be allocated and have no other owner, and its pool must outlive it.
    pub(super) unsafe fn from_raw(packet: *mut dpdk_sys::rte_mbuf) -> Option<Self> {
        NonNull::new(packet).map(Self)
    }

    /// Appends all of the bytes or none. Returns whether they fitted.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let Ok(length) = u16::try_from(bytes.len()) else { return false };
        // SAFETY: the packet is ours, and `bytes` are `length` readable bytes elsewhere.
        unsafe { dpdk_sys::mos_append(self.0.as_ptr(), bytes.as_ptr(), length) == 0 }
    }

    /// Copies the beginning of a packet in several segments.
    fn copy_out(&self, piece: &mut [u8]) {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        // SAFETY: the packet is ours, `piece` has `length` bytes, and the shim stops at the end of
        // the shorter one.
        unsafe { dpdk_sys::mos_copy_out(self.0.as_ptr(), piece.as_mut_ptr(), length) }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: the packet is ours and never used again.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(&raw mut packet, 1) }
    }
}

/// Frees a burst at once.
pub(crate) fn free_burst(mut burst: Burst) {
    let count = u32::from(count_of(&burst));
    // SAFETY: the array holds `count` packets that are ours; `forget` keeps us from freeing them
    // again.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(as_array(&mut burst), count) }
    mem::forget(burst);
}

/// The packets as C's array of pointers: a transparent `NonNull` has the layout of a pointer. C may
/// reorder them, and must not write anything else there.
pub(super) const fn as_array(packets: &mut [Mbuf]) -> *mut *mut dpdk_sys::rte_mbuf {
    packets.as_mut_ptr().cast()
}

/// The packets of a burst, as DPDK counts them.
fn count_of(burst: &Burst) -> u16 {
    u16::try_from(burst.len()).unwrap_or(BURST_U16)
}

/// Makes frames of packets.
///
/// A packet in one segment is borrowed in place. One in several segments is copied into scratch
/// memory, because the stack reads frames as one piece; a packet larger than that memory is cut
/// short, which its `wire_length` shows.
pub(crate) struct Framer {
    scratch: Box<[u8]>,
    views: [dpdk_sys::mos_view; BURST],
}

/// Room for the largest frame (64 KiB of IP and its headers), and a few jumbo frames.
const SCRATCH_BYTES: usize = 128 * 1024;

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer").field("scratch", &self.scratch.len()).finish_non_exhaustive()
    }
}

// SAFETY: the views' pointers are dead between two calls of `frames`.
unsafe impl Send for Framer {}

impl Framer {
    /// A framer with its scratch memory.
    pub(crate) fn new() -> Self {
        let scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Self { scratch, views: [dpdk_sys::mos_view::default(); BURST] }
    }

    /// Calls `handle` with the frames of all packets, in order: once, or again each time that the
    /// scratch memory is full. Returns the frames that any of the calls returned, by their index in
    /// the burst.
    pub(crate) fn frames(
        &mut self,
        burst: &Burst,
        now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> FrameSet {
        let count = count_of(burst);
        // SAFETY: `Mbuf` is a pointer in memory, and C only reads these; there is room for a view
        // of each packet of a burst; all packets are allocated.
        unsafe { dpdk_sys::mos_views(burst.as_ptr().cast(), self.views.as_mut_ptr(), count) }
        let views = &self.views[..burst.len()];
        let (mut done, mut all) = (0, FrameSet::NONE);
        while done < views.len() {
            let part = |frames: &[Frame<'_>]| (frames.len(), handle(frames));
            let (count, set) =
                with_frames(&burst[done..], &views[done..], &mut self.scratch, now, part);
            all = all.union(set.behind(done));
            done += count;
        }
        all
    }
}

/// Calls `handle` with as many frames as the scratch memory has room for; at least one.
fn with_frames<T>(
    packets: &[Mbuf],
    views: &[dpdk_sys::mos_view],
    scratch: &mut [u8],
    now: Instant,
    handle: impl FnOnce(&[Frame<'_>]) -> T,
) -> T {
    let mut free = scratch;
    let mut frames: ArrayVec<Frame<'_>, BURST> = ArrayVec::new();
    for (packet, view) in packets.iter().zip(views) {
        let bytes = if view.data_length == view.packet_length {
            // SAFETY: the view is of a packet that its owner keeps for the length of this call;
            // its first segment holds that many bytes.
            unsafe { slice::from_raw_parts(view.data, view.data_length as usize) }
        } else {
            let wanted = view.packet_length as usize;
            if wanted > free.len() && !frames.is_empty() {
                break;
            }
            let (piece, rest) = mem::take(&mut free).split_at_mut(wanted.min(SCRATCH_BYTES));
            free = rest;
            packet.copy_out(piece);
            &*piece
        };
        frames.push(Frame {
            arrival: now,
            link: Link::Ethernet,
            bytes,
            wire_length: view.packet_length,
            checksums: match view.checksums {
                dpdk_sys::MOS_CHECKSUMS_GOOD => Checksums::Good,
                dpdk_sys::MOS_CHECKSUMS_BAD => Checksums::Bad,
                _ => Checksums::Unknown,
            },
        });
    }
    handle(&frames)
}

//! Arrays that are mapped once, on huge pages if the kernel has them, and never move.
//!
//! A table of a million flows on pages of 4 KiB misses the TLB with nearly every access, so the
//! kernel is advised to use transparent huge pages; without them, normal pages serve. A mapping
//! costs address space only: a page becomes memory when it is first touched, or when
//! [`Slab::populate`] touches them all.
#![expect(unsafe_code, reason = "maps memory and hands out what lies in it")]

use core::{
    fmt,
    ops::{Deref, DerefMut},
    ptr::{NonNull, null_mut},
    slice,
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use zerocopy::FromZeros;

/// Size and alignment of a huge page, in bytes. Smaller arrays use normal pages.
const HUGE_PAGE: usize = 2 * 1024 * 1024;

/// A vector of fixed capacity.
pub struct Slab<T> {
    room: Room,
    start: NonNull<T>,
    length: usize,
    capacity: usize,
}

// SAFETY: a slab owns its elements, as a vector does.
unsafe impl<T: Send> Send for Slab<T> {}
// SAFETY: a shared slab gives shared elements only.
unsafe impl<T: Sync> Sync for Slab<T> {}

impl<T> Slab<T> {
    /// An empty slab with room for `capacity` elements. `None` if the kernel does not map it.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Option<Self> {
        const { assert!(align_of::<T>() <= 4096, "a page is aligned for the elements") };
        let room = Room::new(capacity.checked_mul(size_of::<T>())?)?;
        let start = room.start.cast();
        Some(Self { room, start, length: 0, capacity })
    }

    /// A slab of `length` elements whose bytes are all zero; none is touched.
    #[must_use]
    pub fn zeroed(length: usize) -> Option<Self>
    where
        T: FromZeros,
    {
        let mut slab = Self::with_capacity(length)?;
        // Fresh pages are zero, and that is a value of `T`.
        slab.length = length;
        Some(slab)
    }

    /// Adds an element at the end, or gives it back when there is no room.
    ///
    /// # Errors
    ///
    /// The slab is full.
    pub fn push(&mut self, element: T) -> Result<(), T> {
        if self.length == self.capacity {
            return Err(element);
        }
        let place = self.place(self.length);
        // SAFETY: `length` is below the capacity that was mapped, and nothing lives there yet.
        unsafe { place.write(element) };
        self.length += 1;
        Ok(())
    }

    /// Takes the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        let place = self.place(self.length);
        // SAFETY: the element was initialised, and the slab no longer counts it as its own.
        Some(unsafe { place.read() })
    }

    /// Fills the slab up to `length` elements, as far as there is room.
    pub fn fill_to(&mut self, length: usize, element: T)
    where
        T: Copy,
    {
        while self.length < length && self.push(element).is_ok() {}
    }

    /// Makes the kernel allocate all pages now, near the CPU of the caller, instead of each when it
    /// is first touched. Has no other effect. `None` if the kernel refuses, as Linux before 5.14
    /// always does.
    #[must_use]
    pub fn populate(&self) -> Option<()> {
        let bytes = self.capacity * size_of::<T>();
        // SAFETY: `bytes` bytes from `start` are mapped and ours, and their contents do not change.
        unsafe { madvise(self.start.as_ptr().cast(), bytes, Advice::LinuxPopulateWrite) }.ok()
    }

    /// Elements that there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where the element with this index, at most the capacity, lives.
    const fn place(&self, index: usize) -> NonNull<T> {
        // SAFETY: `index <= capacity`, and `capacity` elements are mapped.
        unsafe { self.start.add(index) }
    }
}

impl<T> Deref for Slab<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` elements are initialised, and borrowed as the slab is.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Slab<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the first `length` elements are initialised, and borrowed as the slab is.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        let elements: *mut [T] = &raw mut **self;
        // SAFETY: the elements are initialised and never used again; `room` is unmapped after this.
        unsafe { elements.drop_in_place() };
    }
}

impl<T: fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab")
            .field("length", &self.length)
            .field("capacity", &self.capacity)
            .field("bytes", &self.room.bytes)
            .finish_non_exhaustive()
    }
}

/// An anonymous private mapping.
struct Room {
    start: NonNull<u8>,
    mapping: NonNull<u8>,
    bytes: usize,
}

impl Room {
    fn new(wanted: usize) -> Option<Self> {
        let is_huge = wanted >= HUGE_PAGE;
        let bytes = if is_huge { wanted.checked_add(HUGE_PAGE)? } else { wanted.max(1) };
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses a place where nothing else is.
        let mapping = unsafe { mmap_anonymous(null_mut(), bytes, access, MapFlags::PRIVATE) };
        let mapping = NonNull::new(mapping.ok()?.cast::<u8>())?;
        let skipped = if is_huge { mapping.align_offset(HUGE_PAGE) } else { 0 };
        // SAFETY: `skipped < HUGE_PAGE`, and the mapping is `HUGE_PAGE` bytes longer than wanted.
        let start = unsafe { mapping.add(skipped) };
        if is_huge {
            // SAFETY: the range is mapped and ours; the advice changes no contents.
            let advice = unsafe { madvise(start.as_ptr().cast(), wanted, Advice::LinuxHugepage) };
            // A kernel without transparent huge pages refuses: normal pages serve, too.
            let (Ok(()) | Err(_)) = advice;
        }
        Some(Self { start, mapping, bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing in it is used after this.
        let unmapped = unsafe { munmap(self.mapping.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_slab_is_a_vector_until_it_is_full() {
        let mut slab = Slab::with_capacity(3).unwrap();
        for element in 1..=3 {
            assert_eq!(slab.push(element), Ok(()));
        }
        assert_eq!(slab.push(4), Err(4));
        slab.fill_to(5, 7);
        slab[1] = 20;
        assert_eq!(*slab, [1, 20, 3]);
        assert_eq!(slab.capacity(), 3);
        assert_eq!(
            (slab.pop(), slab.pop(), slab.pop(), slab.pop()),
            (Some(3), Some(20), Some(1), None)
        );
    }

    #[test]
    fn a_slab_is_filled_up_to_a_length() {
        let mut slab = Slab::with_capacity(4).unwrap();
        slab.fill_to(3, 7);
        slab.fill_to(2, 8);
        assert_eq!(*slab, [7, 7, 7]);
    }

    #[test]
    fn elements_are_dropped_with_the_slab() {
        let witness = Rc::new(());
        let mut slab = Slab::with_capacity(2).unwrap();
        slab.push(Rc::clone(&witness)).unwrap();
        drop(slab);
        assert_eq!(Rc::strong_count(&witness), 1);
    }

    #[test]
    fn a_large_slab_is_zero_and_aligned_for_huge_pages() {
        let elements = HUGE_PAGE / 8 * 3;
        let slab = Slab::<u64>::zeroed(elements).unwrap();
        assert_eq!(slab.as_ptr().align_offset(HUGE_PAGE), 0);
        assert_eq!((slab.len(), slab[0], slab[elements - 1]), (elements, 0, 0));
    }

    #[test]
    fn a_slab_is_populated_on_request() {
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
        };
        let bytes = 64 * HUGE_PAGE;
        let slab = Slab::<u8>::with_capacity(bytes).unwrap();
        let before = resident();
        slab.populate().expect("memory");
        assert!(resident() >= before + bytes / 10 * 9, "{before} to {} bytes", resident());
    }

    #[test]
    fn room_that_is_not_to_be_had_is_refused() {
        assert!(Slab::<u64>::with_capacity(usize::MAX).is_none());
        assert!(Slab::<u8>::with_capacity(usize::MAX / 2).is_none());
        assert_eq!(Slab::<u64>::with_capacity(0).unwrap().push(1), Err(1));
    }
}

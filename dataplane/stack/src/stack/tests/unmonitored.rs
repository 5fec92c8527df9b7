//! The set that `handle_burst` returns: the frames that did not end as monitored.

use proptest::prelude::*;

use super::*;
use crate::{
    limits::BURST,
    testing::{Conversation, Faults},
};

/// A world with room for one flow.
fn world() -> World {
    World::with(Limits { flows_max: 1, half_open_max: 1, pool_bytes: 1 << 20, ..Limits::default() })
}

/// Hands frames over at once. Returns the indices in the set.
fn burst(world: &mut World, frames: &[Vec<u8>]) -> Vec<usize> {
    let frames: Vec<_> =
        frames.iter().map(|bytes| FrameBuilder::arriving(bytes, world.now)).collect();
    let set = world.stack.handle_burst(&frames, &mut world.ended);
    (0..frames.len()).filter(|at| set.contains(*at)).collect()
}

fn count(world: &World, stat: Stat) -> u64 {
    world.stack.stats().get(stat)
}

#[test]
fn a_frame_is_in_the_set_unless_it_is_counted_as_monitored() {
    let mut world = world();
    world.play(HANDSHAKE);
    let segment = FrameBuilder::between(world.client, world.server).flags("P.").seq(101, 301);
    let other = FrameBuilder::new("10.0.0.2:4000", "192.0.2.1:80");
    let mut damaged = segment.build();
    damaged[50] ^= 0x40;
    let mut frames = vec![
        segment.clone().payload(b"ab").build(),
        other.clone().flags("S").build(),
        other.flags(".").build(),
        vec![0; 60],
        damaged,
    ];
    let long = segment.clone().payload(&[b'a'; 32]);
    frames.extend(long.fragments(7, 24));
    frames.push(segment.build());
    assert_eq!(burst(&mut world, &frames), [1, 2, 3, 4, 5, 6]);
    let outcomes = [
        Stat::PacketsTableFull,
        Stat::PacketsOrphan,
        Stat::PacketsNotIp,
        Stat::PacketsChecksum,
        Stat::PacketsFragment,
    ];
    assert_eq!(outcomes.map(|stat| count(&world, stat)), [1, 1, 1, 1, 2]);
    assert_eq!(count(&world, Stat::PacketsMonitored), 3 + 3);
    set(&mut world, &stop(StopScope::Both)).expect("stopped");
    assert_eq!(burst(&mut world, &[segment.build()]), [0]);
    assert_eq!(count(&world, Stat::PacketsStopped), 1);
}

#[test]
fn of_more_frames_than_a_burst_the_set_covers_the_first() {
    let mut world = world();
    world.play(HANDSHAKE);
    let segment = FrameBuilder::between(world.client, world.server).seq(101, 301).build();
    let is_foreign = |at: &usize| at.is_multiple_of(3);
    let all = 0..BURST + 8;
    let frames: Vec<_> =
        all.clone().map(|at| if is_foreign(&at) { vec![0; 60] } else { segment.clone() }).collect();
    let expected: Vec<_> = (0..BURST).filter(is_foreign).collect();
    assert_eq!(burst(&mut world, &frames), expected);
    assert_eq!(count(&world, Stat::PacketsNotIp), all.filter(is_foreign).count() as u64);
    assert_eq!(burst(&mut world, &[segment]), [0; 0], "nothing is left of the frames behind it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Two conversations and room for one, bytes of headers changed, in bursts of any size.
    #[test]
    fn the_set_agrees_with_the_outcome_counted_for_each_frame(
        seed: u64,
        (loss, repeat, reorder) in (0..80u8, 0..60u8, 0..120u8),
        size in 1..=BURST,
        changes in prop::collection::vec((0..400usize, 12..54usize, any::<u8>()), 0..40),
    ) {
        let faults = Faults { loss, repeat, reorder };
        let frames = |seed, client: &str| {
            let ends = (client.parse().expect("an address"), "192.0.2.1:80".parse().expect("one"));
            Conversation::new(seed, faults, 4000).frames(ends.0, ends.1)
        };
        let (first, second) = (frames(seed, "10.0.0.1:4000"), frames(!seed, "10.0.0.2:4000"));
        let mut frames: Vec<_> = first.into_iter().zip(second).flat_map(<[_; 2]>::from).collect();
        for (index, at, value) in changes {
            let length = frames.len();
            frames[index % length][at] = value;
        }
        let (mut whole, mut single) = (world(), world());
        for frames in frames.chunks(size) {
            let mut expected = Vec::new();
            for (at, frame) in frames.iter().enumerate() {
                let before = count(&single, Stat::PacketsMonitored);
                single.receive(frame);
                expected.extend((count(&single, Stat::PacketsMonitored) == before).then_some(at));
            }
            prop_assert_eq!(burst(&mut whole, frames), expected);
        }
        prop_assert_eq!(whole.stack.stats().packets(), single.stack.stats().packets());
    }
}

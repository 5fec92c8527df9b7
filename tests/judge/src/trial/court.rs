//! The court: plays scripts in one thread, and judges them in another.

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::scene::{Played, Scene};
use crate::script::Script;
use crate::verdict::{self, Flow, Verdict};
use crate::wire::capture::Framing;

/// Connections of one capture.
const BATCH: usize = 1000;

/// The framings of the captures, in turns.
const FRAMINGS: [Framing; 4] = [Framing::Raw, Framing::Raw, Framing::Raw, Framing::Vlan];

/// Which program is judged, under which policies.
#[derive(Debug, Clone, Copy)]
pub struct Court<'a> {
    /// The program.
    pub mosd: &'a Path,
    /// The policies.
    pub policies: &'a [&'static str],
}

/// A connection with what mosd shows of it.
#[derive(Debug)]
pub struct Case<'a> {
    /// What happened.
    pub played: &'a Played,
    /// Under which policy it was judged.
    pub policy: &'static str,
    /// What mosd shows.
    pub flows: &'a [Flow],
    /// Whether it is right.
    pub verdict: Verdict,
}

impl Court<'_> {
    /// Plays all scripts, and tells of each how mosd shows it under each policy.
    #[track_caller]
    pub fn hear(
        &self,
        scripts: impl Iterator<Item = Script> + Send,
        mut tell: impl FnMut(Case<'_>),
    ) {
        each_batch(scripts, |batch, capture| self.judge(capture, batch, &mut tell));
    }

    #[track_caller]
    fn judge(&self, capture: &Path, batch: &[Played], tell: &mut impl FnMut(Case<'_>)) {
        for policy in self.policies {
            let shown = verdict::replay(self.mosd, policy, capture, batch);
            for (played, flows) in batch.iter().zip(&shown) {
                let verdict = verdict::judge(played, flows);
                tell(Case { played, policy, flows, verdict });
            }
        }
    }
}

/// Plays all scripts, and hands on the connections in batches, each with its capture.
#[track_caller]
pub fn each_batch(
    scripts: impl Iterator<Item = Script> + Send,
    mut hand_on: impl FnMut(&[Played], &Path),
) {
    let (send, receive) = sync_channel(2);
    thread::scope(|scope| {
        scope.spawn(move || play(scripts, &send));
        for (batch, framing) in receive.iter().zip(FRAMINGS.into_iter().cycle()) {
            let batch: Vec<Played> = batch;
            hand_on(&batch, verdict::capture(framing, &batch).path());
        }
    });
}

/// Plays all scripts, and sends the connections in batches.
#[track_caller]
fn play(scripts: impl Iterator<Item = Script>, send: &SyncSender<Vec<Played>>) {
    let mut scene = Scene::new().expect("a namespace with a tun device");
    let mut scripts = scripts.peekable();
    while scripts.peek().is_some() {
        let played = scripts.by_ref().take(BATCH).map(|script| scene.play(&script));
        let batch = played.collect::<io::Result<Vec<_>>>().expect("scripts can be played");
        if send.send(batch).is_err() {
            // The other thread has panicked, and says why.
            return;
        }
    }
}

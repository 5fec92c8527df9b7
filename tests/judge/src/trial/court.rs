//! The court: plays scripts in one thread, and judges them in another.

use std::io;
use std::path::PathBuf;
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

/// Which program is judged.
#[derive(Debug, Clone)]
pub struct Court {
    /// The program.
    pub mosd: PathBuf,
    /// The policy.
    pub policy: String,
}

/// A connection with what mosd shows of it.
#[derive(Debug)]
pub struct Case<'a> {
    /// What happened.
    pub played: &'a Played,
    /// What mosd shows.
    pub flows: &'a [Flow],
    /// Whether it is right.
    pub verdict: Verdict,
}

impl Court {
    /// Plays all scripts, and tells of each how mosd shows it.
    #[track_caller]
    pub fn hear(
        &self,
        scripts: impl Iterator<Item = Script> + Send,
        mut tell: impl FnMut(Case<'_>),
    ) {
        let (send, receive) = sync_channel(2);
        thread::scope(|scope| {
            scope.spawn(move || play(scripts, &send));
            for (batch, framing) in receive.iter().zip(FRAMINGS.into_iter().cycle()) {
                self.judge(framing, &batch, &mut tell);
            }
        });
    }

    fn judge(&self, framing: Framing, batch: &[Played], tell: &mut impl FnMut(Case<'_>)) {
        let shown = verdict::replay(&self.mosd, &self.policy, framing, batch);
        for (played, flows) in batch.iter().zip(&shown) {
            let verdict = verdict::judge(played, flows);
            tell(Case { played, flows, verdict });
        }
    }
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

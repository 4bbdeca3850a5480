//! From serving to gone: what the server is doing, and what still plays.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new work; what plays goes on.
    Draining,
    /// What still plays is ended.
    Stopping,
}

/// The phase of the server, and a count of what plays. Cheap to share by reference.
pub struct Lifecycle {
    phase: watch::Sender<Phase>,
    playing: watch::Sender<usize>,
}

/// Counts as playing until it is dropped.
pub struct Playing(watch::Sender<usize>);

impl Lifecycle {
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving), playing: watch::Sender::new(0) }
    }

    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    pub fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Resolves once no new work is taken.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves once what still plays has to end.
    pub async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    async fn reached(&self, phase: Phase) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub fn play(&self) -> Playing {
        self.playing.send_modify(|n| *n += 1);
        Playing(self.playing.clone())
    }

    /// Resolves once nothing plays.
    pub async fn silent(&self) {
        let _ = self.playing.subscribe().wait_for(|n| *n == 0).await;
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

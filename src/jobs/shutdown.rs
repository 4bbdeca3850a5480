//! How the workers end with their server.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Working,
    /// No worker begins another job.
    Draining,
    /// Jobs under way are put back.
    Stopping,
}

/// The phase of the workers, and a count of those that have a job.
#[derive(Debug, Default)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
    working: watch::Sender<usize>,
}

/// Counts as a worker that has a job until it is dropped.
pub struct Working(watch::Sender<usize>);

impl Shutdown {
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    pub fn stop(&self) {
        self.advance(Phase::Stopping);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_modify(|now| *now = to.max(*now));
    }

    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Resolves once no more jobs are begun.
    pub async fn drained(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves once jobs under way are to be put back.
    pub async fn stopped(&self) {
        self.reached(Phase::Stopping).await;
    }

    async fn reached(&self, phase: Phase) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub fn work(&self) -> Working {
        self.working.send_modify(|n| *n += 1);
        Working(self.working.clone())
    }

    /// Resolves once no worker has a job.
    pub async fn idle(&self) {
        let _ = self.working.subscribe().wait_for(|n| *n == 0).await;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

//! How fast this machine speaks, as measured: what one more session would cost, and how long the
//! second packet takes.

use std::time::Duration;

/// Speech tokens of one second.
const TOKEN_RATE: f64 = 25.0;
/// Milliseconds of sound of one speech token.
const TOKEN_MS: f64 = 40.0;
/// Speech tokens of a hop after the first.
const HOP_TOKENS: f64 = 25.0;
/// Sound that the vocoder holds back for its next hop, in milliseconds.
const HELD_MS: f64 = 160.0;
/// How much longer than the mean a hop may take.
const CAUTION: f64 = 1.25;

/// Running mean in which a new value counts for a sixteenth, more at the start.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    value: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count = (self.count + 1).min(16);
        self.value += (value - self.value) / f64::from(self.count);
    }
}

/// Costs in seconds of the device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// A language-model step, whatever its rows.
    step: Mean,
    /// A session's share of one.
    token: Mean,
    /// A hop of one session through flow and vocoder.
    hop: Mean,
}

impl Meter {
    /// A language-model step served so many rows.
    pub fn step(&mut self, elapsed: Duration, rows: usize) {
        self.step.add(elapsed.as_secs_f64());
        self.token.add(elapsed.as_secs_f64() / rows.max(1) as f64);
    }

    /// A session's share of the work that made one of its hops.
    pub fn hop(&mut self, cost: Duration) {
        self.hop.add(cost.as_secs_f64());
    }

    /// What a hop costs.
    pub fn hop_cost(&self) -> Duration {
        Duration::from_secs_f64(self.hop.value)
    }

    /// Share of the device that one session needs which is played as it is made. 0 while nothing
    /// is known.
    pub fn session_load(&self) -> f64 {
        TOKEN_RATE * self.token.value + TOKEN_RATE / HOP_TOKENS * self.hop.value
    }

    /// Whether one more session may start beside `active` ones.
    pub fn admits(&self, active: usize, max_load: f64) -> bool {
        active == 0 || (active + 1) as f64 * self.session_load() <= max_load
    }

    /// Speech tokens of a first hop, `configured` to `block`, whose sound lasts until the second
    /// packet, when `rivals` other sessions need a hop before then.
    pub fn first_hop(&self, configured: usize, block: usize, rivals: usize) -> usize {
        let tokens = HOP_TOKENS * self.step.value;
        let hops = (rivals + 1) as f64 * self.hop.value;
        let second = CAUTION * (tokens + hops) * 1e3;
        let needed = ((second + HELD_MS) / TOKEN_MS).ceil() as usize;
        needed.max(configured).min(block.max(configured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(step_ms: u64, rows: usize, hop_ms: u64) -> Meter {
        let mut meter = Meter::default();
        for _ in 0..40 {
            meter.step(Duration::from_millis(step_ms), rows);
            meter.hop(Duration::from_millis(hop_ms));
        }
        meter
    }

    /// A machine of which a session takes an eighth has room for seven at nine tenths, and for one
    /// whatever its speed.
    #[test]
    fn admission_follows_the_measured_load() {
        let eighth = meter(1, 1, 100);
        assert!((eighth.session_load() - 0.125).abs() < 1e-9);
        assert!(eighth.admits(6, 0.9) && !eighth.admits(7, 0.9));
        let slow = meter(100, 1, 3000);
        assert!(slow.admits(0, 0.9) && !slow.admits(1, 0.9));
        assert!(Meter::default().admits(100, 0.9), "nothing is known yet");
        assert!(meter(4, 8, 100).session_load() < eighth.session_load(), "rows share a step");
    }

    /// The sound of the first hop lasts until the second packet.
    #[test]
    fn the_first_hop_grows_with_what_comes_before_the_second_packet() {
        let fast = meter(1, 1, 50);
        assert_eq!(fast.first_hop(10, 25, 0), 10);
        let tokens = fast.first_hop(10, 25, 5);
        let second = 25.0 + 6.0 * 50.0;
        assert!(tokens as f64 * TOKEN_MS - HELD_MS >= second, "{tokens}");
        assert_eq!(fast.first_hop(10, 25, 100), 25);
        assert_eq!(Meter::default().first_hop(3, 25, 0), 4);
    }

    /// A burst of noise on the machine is forgotten again.
    #[test]
    fn old_values_fade() {
        let mut meter = meter(1, 1, 500);
        for _ in 0..100 {
            meter.hop(Duration::from_millis(50));
        }
        assert!(meter.hop_cost() < Duration::from_millis(52));
    }
}

//! When a client that plays in real time runs out of sound.

use std::time::{Duration, Instant};

/// The clock of one listener, as far as the engine can know it: playing begins with the first
/// packet and takes what is sent at its own pace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Playback {
    /// When the sound sent so far has been played.
    until: Option<Instant>,
    /// Nothing could be made since, because there was no text: silence is the text's doing.
    starved: bool,
}

impl Playback {
    /// Sound of this length was sent. True if the listener had run dry before it.
    pub fn sent(&mut self, seconds: f64, now: Instant) -> bool {
        let dry = self.until.is_some_and(|until| now > until) && !self.starved;
        let from = self.until.map_or(now, |until| until.max(now));
        self.until = Some(from + Duration::from_secs_f64(seconds));
        self.starved = false;
        dry
    }

    /// There is no text to speak.
    pub fn starve(&mut self) {
        self.starved = true;
    }

    /// When the listener runs dry. None where nothing is playing: before the first packet, and
    /// after a pause in the text that outlasted the sound.
    pub fn dry_at(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| !self.starved || *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_that_comes_late_is_an_underrun_but_not_after_a_pause_in_the_text() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut playback = Playback::default();
        assert_eq!(playback.dry_at(start), None);
        assert!(!playback.sent(0.5, at(0)));
        assert!(!playback.sent(0.5, at(400)));
        assert_eq!(playback.dry_at(at(400)), Some(at(1000)));
        assert!(playback.sent(0.5, at(1001)));
        assert_eq!(playback.dry_at(at(1001)), Some(at(1501)));
        playback.starve();
        assert_eq!(playback.dry_at(at(1500)), Some(at(1501)), "still playing");
        assert_eq!(playback.dry_at(at(3000)), None);
        assert!(!playback.sent(0.2, at(3000)));
    }
}

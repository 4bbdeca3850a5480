//! A player that starts at the first packet and plays what it has, as a listener hears it.

/// A packet as it reached the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Seconds since any fixed moment.
    pub at: f64,
    /// Seconds of audio it holds.
    pub audio: f64,
}

/// How a stream played.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Playback {
    /// Times the player had nothing to play although more was to come.
    pub gaps: usize,
    /// Seconds it had nothing to play.
    pub gap_seconds: f64,
    /// The least that a packet came before the audio ahead of it had played out, in seconds;
    /// negative where it came after. None for streams of one packet.
    pub smallest_margin: Option<f64>,
    /// When the last sample was heard, on the clock of the arrivals.
    pub ends: f64,
}

/// Plays packets in the order they came.
pub fn play(packets: &[Arrival]) -> Playback {
    let mut played = Playback::default();
    let Some((first, rest)) = packets.split_first() else { return played };
    played.ends = first.at + first.audio;
    for packet in rest {
        let margin = played.ends - packet.at;
        played.smallest_margin =
            Some(played.smallest_margin.map_or(margin, |least| least.min(margin)));
        if margin < 0.0 {
            played.gaps += 1;
            played.gap_seconds -= margin;
        }
        played.ends = played.ends.max(packet.at) + packet.audio;
    }
    played
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(packets: &[(f64, f64)]) -> Vec<Arrival> {
        packets.iter().map(|&(at, audio)| Arrival { at, audio }).collect()
    }

    #[test]
    fn packets_in_time_leave_no_gap() {
        let played = play(&arrivals(&[(1.0, 0.5), (1.25, 1.0), (2.0, 1.0)]));
        assert_eq!((played.gaps, played.gap_seconds), (0, 0.0));
        assert_eq!(played.smallest_margin, Some(0.25));
        assert_eq!(played.ends, 3.5);
    }

    /// A gap delays everything after it, so one late packet is one gap.
    #[test]
    fn a_late_packet_is_one_gap_and_moves_the_rest() {
        let played = play(&arrivals(&[(0.0, 0.5), (0.75, 0.5), (1.0, 0.5), (3.0, 0.5)]));
        assert_eq!(played.gaps, 2);
        // 0.25 s before the second packet; the third is in time, and 1.25 s before the last.
        assert_eq!(played.gap_seconds, 0.25 + 1.25);
        assert_eq!(played.smallest_margin, Some(-1.25));
        assert_eq!(played.ends, 3.5);
    }

    #[test]
    fn a_packet_at_the_last_moment_is_in_time() {
        let played = play(&arrivals(&[(0.0, 0.5), (0.5, 0.5)]));
        assert_eq!((played.gaps, played.smallest_margin), (0, Some(0.0)));
    }

    #[test]
    fn one_packet_has_no_margin_and_none_no_end() {
        let played = play(&arrivals(&[(2.0, 0.5)]));
        assert_eq!((played.gaps, played.smallest_margin, played.ends), (0, None, 2.5));
        assert_eq!(play(&[]), Playback::default());
    }
}

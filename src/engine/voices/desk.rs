//! Who waits for which voice, so that one is made once however many ask for it.

use super::VoiceKey;
use super::cache::VoiceCache;
use crate::telemetry::metrics;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What becomes of a request for a voice.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<V> {
    Ready(Arc<V>),
    /// Somebody has it made: the session is told by [`VoiceDesk::complete`] or
    /// [`VoiceDesk::fail`].
    InWork,
    /// Nobody has it made: the caller starts, and reports the end to `complete` or `fail`. The
    /// session is among those they name.
    Start,
}

/// The cache of voices and the sessions that wait for one to be made.
///
/// Does no work itself. A session, of whatever `id`, waits for one voice at most, so there are
/// never more entries than sessions.
pub struct VoiceDesk<V> {
    cache: VoiceCache<V>,
    /// Voices being made, and who waits for each, first come first. Never without a session.
    in_work: HashMap<VoiceKey, Vec<u64>>,
}

impl<V> VoiceDesk<V> {
    /// With a cache of `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { cache: VoiceCache::new(budget), in_work: HashMap::new() }
    }

    /// A session asks for its voice. Counted as a hit or a miss of the cache, so once for each
    /// session.
    pub fn request(&mut self, key: VoiceKey, session: u64) -> Answer<V> {
        let ready = self.cache.get(&key);
        metrics::voice_cache(ready.is_some());
        if let Some(voice) = ready {
            return Answer::Ready(voice);
        }
        match self.in_work.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(vec![session]);
                Answer::Start
            }
            Entry::Occupied(mut entry) => {
                if !entry.get().contains(&session) {
                    entry.get_mut().push(session);
                }
                Answer::InWork
            }
        }
    }

    /// A voice of `bytes` is made: it is kept if it fits. Gives the sessions that waited for it.
    pub fn complete(&mut self, key: VoiceKey, voice: Arc<V>, bytes: usize) -> Vec<u64> {
        self.cache.insert(key, voice, bytes);
        metrics::cache_bytes("voices", self.cache.bytes());
        self.in_work.remove(&key).unwrap_or_default()
    }

    /// A voice cannot be made. Gives the sessions that waited for it; the next request starts
    /// anew.
    pub fn fail(&mut self, key: &VoiceKey) -> Vec<u64> {
        self.in_work.remove(key).unwrap_or_default()
    }

    /// A session has ended, whatever it waited for. Gives the voice that nobody waits for any
    /// more: its making is to be given up.
    #[allow(dead_code, reason = "the schedule makes a voice in one step so far")]
    pub fn leave(&mut self, session: u64) -> Option<VoiceKey> {
        let (key, waiting) = self.in_work.iter_mut().find(|(_, w)| w.contains(&session))?;
        waiting.retain(|other| *other != session);
        let (key, deserted) = (*key, waiting.is_empty());
        if !deserted {
            return None;
        }
        self.in_work.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> VoiceKey {
        VoiceKey::new(&[n; 32], &[0; 32])
    }

    #[test]
    fn a_voice_is_made_once_for_all_who_ask() {
        let mut desk = VoiceDesk::new(100);
        assert_eq!(desk.request(key(1), 10), Answer::Start);
        assert_eq!(desk.request(key(1), 11), Answer::InWork);
        assert_eq!(desk.request(key(2), 12), Answer::Start);
        assert_eq!(desk.request(key(1), 13), Answer::InWork);
        assert_eq!(desk.request(key(1), 10), Answer::InWork);
        assert_eq!(desk.complete(key(1), Arc::new('a'), 60), [10, 11, 13]);
        assert_eq!(desk.request(key(1), 14), Answer::Ready(Arc::new('a')));
        assert_eq!(desk.request(key(2), 15), Answer::InWork);
        assert_eq!(desk.cache.bytes(), 60);
    }

    #[test]
    fn after_a_failure_the_next_tries_again() {
        let mut desk: VoiceDesk<char> = VoiceDesk::new(100);
        desk.request(key(1), 10);
        desk.request(key(1), 11);
        assert_eq!(desk.fail(&key(1)), [10, 11]);
        assert!(desk.fail(&key(1)).is_empty());
        assert_eq!(desk.request(key(1), 12), Answer::Start);
    }

    /// The one who started the work may go; who waits still gets the voice.
    #[test]
    fn work_is_given_up_when_nobody_waits_any_more() {
        let mut desk = VoiceDesk::new(100);
        desk.request(key(1), 10);
        desk.request(key(1), 11);
        assert_eq!(desk.leave(10), None);
        assert_eq!(desk.leave(99), None);
        assert_eq!(desk.leave(11), Some(key(1)));
        assert_eq!(desk.leave(11), None);
        assert_eq!(desk.request(key(1), 12), Answer::Start);
        assert_eq!(desk.complete(key(1), Arc::new('a'), 1), [12]);
    }

    /// It is used, and made again for the next.
    #[test]
    fn a_voice_too_large_to_keep_reaches_those_who_wait() {
        let mut desk = VoiceDesk::new(100);
        desk.request(key(1), 10);
        desk.request(key(1), 11);
        assert_eq!(desk.complete(key(1), Arc::new('a'), 101), [10, 11]);
        assert_eq!(desk.request(key(1), 12), Answer::Start);
    }
}

//! Voices that are ready, within a budget of bytes.

use super::VoiceKey;
use lru::LruCache;
use std::sync::Arc;

/// Least recently used voices make room for new ones. Voices in use live on outside the cache.
///
/// `V` is [`Voice`](crate::model::cosyvoice2::Voice); the cache itself knows no tensor.
pub struct VoiceCache<V> {
    /// With the bytes that each was counted for.
    voices: LruCache<VoiceKey, (Arc<V>, usize)>,
    budget: usize,
    bytes: usize,
}

impl<V> VoiceCache<V> {
    pub fn new(budget: usize) -> Self {
        Self { voices: LruCache::unbounded(), budget, bytes: 0 }
    }

    pub fn get(&mut self, key: &VoiceKey) -> Option<Arc<V>> {
        self.voices.get(key).map(|(voice, _)| voice.clone())
    }

    /// Keeps a voice of `bytes`, unless it alone exceeds the budget.
    pub fn insert(&mut self, key: VoiceKey, voice: Arc<V>, bytes: usize) {
        if bytes > self.budget {
            return;
        }
        if let Some((_, old)) = self.voices.pop(&key) {
            self.bytes -= old;
        }
        while self.bytes > self.budget - bytes
            && let Some((_, (_, old))) = self.voices.pop_lru()
        {
            self.bytes -= old;
        }
        self.voices.put(key, (voice, bytes));
        self.bytes += bytes;
    }

    /// Memory of the voices kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> VoiceKey {
        VoiceKey::new(&[n; 32], &[0; 32])
    }

    fn cache_of(entries: &[(u8, usize)]) -> VoiceCache<u8> {
        let mut cache = VoiceCache::new(100);
        entries.iter().for_each(|(n, bytes)| cache.insert(key(*n), Arc::new(*n), *bytes));
        cache
    }

    fn kept(cache: &mut VoiceCache<u8>) -> Vec<u8> {
        (0..10).filter(|n| cache.voices.peek(&key(*n)).is_some()).collect()
    }

    #[test]
    fn the_least_recently_used_make_room() {
        let mut cache = cache_of(&[(1, 40), (2, 30), (3, 30)]);
        assert_eq!((kept(&mut cache), cache.bytes()), (vec![1, 2, 3], 100));
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&1));
        cache.insert(key(4), Arc::new(4), 31);
        assert_eq!((kept(&mut cache), cache.bytes()), (vec![1, 4], 71));
        assert_eq!(cache.get(&key(2)), None);
        cache.insert(key(5), Arc::new(5), 100);
        assert_eq!((kept(&mut cache), cache.bytes()), (vec![5], 100));
    }

    /// It would push all others out and not fit even then.
    #[test]
    fn a_voice_larger_than_the_budget_is_not_kept() {
        let mut cache = cache_of(&[(1, 40), (2, 101), (3, usize::MAX)]);
        assert_eq!((kept(&mut cache), cache.bytes()), (vec![1], 40));
    }

    #[test]
    fn a_voice_made_again_is_counted_once() {
        let mut cache = cache_of(&[(1, 60), (1, 70)]);
        assert_eq!((kept(&mut cache), cache.bytes()), (vec![1], 70));
    }
}

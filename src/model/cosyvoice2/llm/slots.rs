use super::Llm;
use crate::model::nn::KvCache;

pub struct Slots;
impl Slots {
    pub fn new(_: usize) -> Self {
        Self
    }
    pub fn take(&mut self, llm: &Llm, capacity: usize) -> KvCache {
        llm.new_cache(capacity)
    }
    pub fn give(&mut self, _: KvCache) {}
    pub fn bytes(&self) -> usize {
        0
    }
}

/// How matrices are kept. Sums are in f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    #[default]
    F32,
    /// The language model's matrices in half the memory to read, which is what a step costs where
    /// it does not fit the caches. On the CPU.
    F16,
    /// The matrices of language model and flow, on GPUs in half the memory. On the CPU they are
    /// rounded the same but kept in f32: what comes out can be compared, and nothing is gained.
    Bf16,
}

//! What is told to the sampler on a device, and what it answers.

/// How the id of a row is drawn.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "cube"), expect(dead_code, reason = "no device draws"))]
pub(crate) struct Draw<'a> {
    /// Uniform random numbers, 0 to below 1, for the two draws.
    pub units: [f32; 2],
    pub temperature: f32,
    pub top_p: f32,
    pub top_k: usize,
    /// The window of latest ids that is searched for repetitions.
    pub recent: &'a [u32],
    /// A pick that is this often in `recent` is drawn again; never if not above 0.
    pub repetitions: f32,
    /// Ids that must not be drawn.
    pub masked: &'a [u32],
}

/// What was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "cube"), expect(dead_code, reason = "no device draws"))]
pub(crate) enum Picked {
    /// An id, and how many of [`Draw::units`] that took.
    Id(u32, usize),
    /// A score is not a number.
    NotANumber,
    /// No id is left to draw.
    NoCandidates,
}

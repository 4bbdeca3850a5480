//! The kernels of the transforms. What gives a sample adds up the frames that reach it: nothing is
//! written twice.

use super::{Shape, THREADS};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

#[cube(launch_unchecked)]
pub(super) fn forward(
    x: &[f32],
    basis: &[f32],
    out: &mut [f32],
    time: u32,
    frames: u32,
    #[comptime] shape: Shape,
) {
    let n_fft = comptime!(shape.n_fft);
    let frame = CUBE_POS_X as usize * THREADS + UNIT_POS as usize;
    let part = CUBE_POS_Y as usize;
    let sample = CUBE_POS_Z as usize;
    let time = time as usize;
    let frames = frames as usize;
    if frame < frames {
        let start = frame * comptime!(shape.hop);
        let mut sum = 0f32;
        for n in 0..n_fft {
            // Counted from half a window before the first sample.
            let place = start + n;
            let mut at = comptime!(shape.n_fft / 2) - place;
            if place >= comptime!(shape.n_fft / 2) {
                at = place - comptime!(shape.n_fft / 2);
            }
            if at >= time {
                at = 2 * (time - 1) - at;
            }
            sum += x[sample * time + at] * basis[part * n_fft + n];
        }
        out[(sample * comptime!(shape.parts()) + part) * frames + frame] = sum;
    }
}

#[cube(launch_unchecked)]
pub(super) fn inverse_polar(
    x: &[f32],
    basis: &[f32],
    window: &[f32],
    out: &mut [f32],
    frames: u32,
    most: f32,
    limit: f32,
    #[comptime] shape: Shape,
) {
    let n_fft = comptime!(shape.n_fft);
    let hop = comptime!(shape.hop);
    let bins = comptime!(shape.parts() / 2);
    let reach = comptime!(shape.frames());
    let thread = UNIT_POS as usize;
    let frames = frames as usize;
    let sample = CUBE_POS_Y as usize;

    let mut spectra = Shared::<[f32]>::new_slice(comptime!(shape.parts() * shape.frames()));
    let mut kernel = Shared::<[f32]>::new_slice(comptime!(shape.parts() * shape.n_fft));
    let mut weights = Shared::<[f32]>::new_slice(n_fft);

    // Places are counted from half a window before the first sample: frame `f` is at `f * hop`.
    let place = CUBE_POS_X as usize * THREADS + comptime!(shape.n_fft / 2);
    let mut first = 0usize;
    if place >= n_fft {
        first = (place - n_fft) / hop + 1;
    }
    let mut i = thread;
    while i < comptime!(shape.parts() * shape.n_fft) {
        kernel[i] = basis[i];
        i += THREADS;
    }
    let mut i = thread;
    while i < n_fft {
        weights[i] = window[i] * window[i];
        i += THREADS;
    }
    let mut i = thread;
    while i < comptime!(shape.parts() / 2 * shape.frames()) {
        let bin = i / reach;
        let frame = first + i % reach;
        let mut real = 0f32;
        let mut imaginary = 0f32;
        if frame < frames {
            let at = (sample * comptime!(shape.parts()) + bin) * frames + frame;
            let magnitude = x[at].exp();
            let magnitude = select(magnitude > most, most, magnitude);
            let phase = x[at + bins * frames].sin();
            real = magnitude * phase.cos();
            imaginary = magnitude * phase.sin();
        }
        spectra[i] = real;
        spectra[i + bins * reach] = imaginary;
        i += THREADS;
    }
    sync_cube();

    let at = CUBE_POS_X as usize * THREADS + thread;
    let samples = (frames - 1) * hop;
    if at < samples {
        let place = place + thread;
        let mut frame = 0usize;
        if place >= n_fft {
            frame = (place - n_fft) / hop + 1;
        }
        let mut sum = 0f32;
        let mut weight = 0f32;
        while frame * hop <= place && frame < frames {
            let n = place - frame * hop;
            weight += weights[n];
            for part in 0..comptime!(shape.parts()) {
                sum += spectra[part * reach + frame - first] * kernel[part * n_fft + n];
            }
            frame += 1;
        }
        let y = sum / weight;
        let y = select(y > limit, limit, y);
        out[sample * samples + at] = select(y < -limit, -limit, y);
    }
}

//! The bundled voice's language model: what a row of a batch may depend on.

use super::*;
use std::path::Path;

const SPEECH_TOKENS: u32 = 6561;

fn load(precision: Precision) -> Llm {
    load_on(&Device::flex(), precision)
}

fn load_on(device: &Device, precision: Precision) -> Llm {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = std::fs::read(model.join("CosyVoice-BlankEN/config.json")).unwrap();
    let config: LlmConfig = serde_json::from_slice(&config).unwrap();
    let weights = crate::model::weights::Weights::open(model.join("llm.pt")).unwrap();
    Llm::load_as(&weights.scope(device), &config, SPEECH_TOKENS as usize, precision).unwrap()
}

/// A sequence of its own for every `row`, with `spare` more room than it needs.
fn sequence(llm: &Llm, row: usize, spare: usize) -> KvCache {
    let n = 3 + 23 * row;
    let input = |i: usize| LlmInput::Speech((i * (37 + row)) as u32 % SPEECH_TOKENS);
    let mut cache = llm.new_cache(n + 3 + spare);
    llm.forward(&(0..n).map(input).collect::<Vec<_>>(), &mut cache).unwrap();
    cache
}

/// Three steps of some of the sequences together: hidden states and logits of each.
fn steps(llm: &Llm, rows: &[usize], spare: usize) -> Vec<Vec<f32>> {
    let mut caches: Vec<KvCache> = rows.iter().map(|row| sequence(llm, *row, spare)).collect();
    let mut results = vec![Vec::new(); rows.len()];
    for step in 0..3 {
        let inputs = rows.iter().map(|row| LlmInput::Speech((1000 * step + row * 7) as u32));
        let mut batch: Vec<_> = inputs.zip(&mut caches).collect();
        let hidden = llm.step_batch(&mut batch).unwrap();
        for values in [hidden.clone(), llm.logits(hidden)] {
            let width = values.dims()[1];
            let values: Vec<f32> = values.into_data().iter().collect();
            for (result, values) in results.iter_mut().zip(values.chunks(width)) {
                result.extend_from_slice(values);
            }
        }
    }
    results
}

/// Protects the promise that a seed gives the same speech whoever else is speaking: bit for bit,
/// alone, among seven others, among others in another place, and in a cache of another size.
#[test]
fn a_row_is_the_same_alone_and_among_any_others() {
    for precision in [Precision::F32, Precision::F16] {
        let llm = load(precision);
        let eight = steps(&llm, &[0, 1, 2, 3, 4, 5, 6, 7], 0);
        for (row, among_eight) in eight.iter().enumerate() {
            assert!(steps(&llm, &[row], 500)[0] == *among_eight, "{precision:?}, row {row} alone");
        }
        let others: Vec<usize> = (4..17).rev().collect();
        for (got, row) in steps(&llm, &others, 70).iter().zip(&others) {
            let among_eight = eight.get(*row).unwrap_or(got);
            assert!(got == among_eight, "{precision:?}, row {row} among others");
        }
    }
}

/// Halving the weights' bits moves the hidden states by less than a hundredth of their size.
#[test]
fn f16_weights_stay_close() {
    let results = [Precision::F32, Precision::F16].map(|precision| {
        let llm = load(precision);
        let mut cache = llm.new_cache(100);
        let prompt: Vec<_> = (0..100).map(|i| LlmInput::Speech(i * 61 % SPEECH_TOKENS)).collect();
        llm.forward(&prompt, &mut cache).unwrap()
    });
    let [exact, rounded] = results;
    let error = (rounded - exact.clone()).abs().max().into_scalar::<f32>();
    let error = error / exact.abs().max().into_scalar::<f32>();
    println!("f16 weights: relative error {error:.1e}");
    assert!(error < 1e-2, "{error:e}");
}

/// Protects the paged caches and their kernels, as a whole: three sequences, given in portions that
/// meet the edges of pages in odd ways, two of them from a common beginning, then steps of all
/// together; the same hidden states as on the CPU.
#[cfg(feature = "cube")]
#[test]
fn as_on_the_cpu_on_a_gpu() {
    let run = |device: Device| {
        let llm = load_on(&device, Precision::F32);
        assert_eq!(llm.pool.is_some(), device != Device::flex());
        let mut slots = Slots::new(&llm, 2);
        let inputs = |from: u32, n: u32| -> Vec<LlmInput> {
            (from..from + n).map(|i| LlmInput::Speech(i * 61 % SPEECH_TOKENS)).collect()
        };
        let mut hidden: Vec<Tensor<2>> = Vec::new();
        let mut prefix = llm.new_cache(90);
        for (from, n) in [(0, 1), (1, 62), (63, 2), (65, 25)] {
            hidden.push(llm.forward(&inputs(from, n), &mut prefix).unwrap());
        }
        let mut caches: Vec<KvCache> = [300, 10, 300].map(|n| slots.take(n)).into();
        for (cache, length) in caches.iter_mut().zip([90, 0, 71]) {
            cache.copy_from(&prefix).unwrap();
            cache.truncate(length);
            hidden.push(llm.forward(&inputs(length as u32 + 500, 5), cache).unwrap());
        }
        hidden.push(llm.forward(&inputs(7, 170), &mut caches[2]).unwrap());
        for step in 0..3 {
            let mut batch: Vec<_> = inputs(1000 * step, 3).into_iter().zip(&mut caches).collect();
            hidden.push(llm.step_batch(&mut batch).unwrap());
        }
        caches.remove(1);
        slots.give(caches.remove(0));
        hidden.push(llm.forward(&inputs(3, 1), &mut caches[0]).unwrap());
        let values = |x: Tensor<2>| x.into_data().iter::<f32>().collect();
        hidden.into_iter().map(values).collect::<Vec<Vec<f32>>>()
    };
    let want = run(Device::flex());
    let got = run(crate::model::nn::test_device());
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!(got.len(), want.len(), "call {i}");
        let size = want.iter().map(|w| w.abs()).fold(0.0, f32::max);
        let error = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        assert!(error < 1e-4 * size, "call {i}: {error:e} of {size}");
    }
}

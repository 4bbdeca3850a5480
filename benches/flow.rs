//! Processor time of one hop of the bundled voice's flow, early and late in a session.
//!
//! `cargo bench --bench flow`. Times are those of all threads, so that a busy machine can measure.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::cosyvoice2::flow::{Flow, FlowPrompt, FlowState, UPSAMPLING};
use mynah::model::weights::Weights;
use std::fs;
use std::path::Path;
use std::time::Duration;

const MEL_BINS: usize = 80;
/// Tokens per hop.
const HOP: usize = 25;

fn load() -> Flow {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = fs::read(model.join("config.json")).unwrap();
    let config: ModelConfig = serde_json::from_slice(&config).unwrap();
    let weights = Weights::open(model.join("flow.pt")).unwrap();
    let device = Device::flex();
    let scope = weights.scope(&device);
    Flow::load(&scope, &config.flow, config.spk_embed_dim, MEL_BINS).unwrap()
}

fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| i.wrapping_mul(2_654_435_761) % 6561).collect()
}

/// A voice of 100 tokens.
fn voice(flow: &Flow) -> FlowState {
    let device = Device::flex();
    let prompt = FlowPrompt {
        tokens: tokens(4 * HOP),
        mel: Tensor::random(
            [1, 4 * HOP * UPSAMPLING, MEL_BINS],
            Distribution::Normal(-5.0, 2.0),
            &device,
        ),
        embedding: Tensor::random([1, 192], Distribution::Normal(0.0, 1.0), &device),
    };
    let mut state = flow.start(&prompt).unwrap();
    while state.prompt_blocks(HOP) > 0 {
        (state, _) = flow.run_hop(state).unwrap();
    }
    state.seal();
    state.for_session(HOP)
}

/// Processor time of all threads so far.
fn processor_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let spent = |task: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(|task| spent(task.ok()?)).sum())
}

fn benches(c: &mut Criterion) {
    let mut flow = load();
    for left_blocks in [0, 8] {
        flow.set_left_blocks(left_blocks);
        let mut state = voice(&flow);
        let mut hop = 0;
        for at in [3, 10, 30, 60] {
            while hop + 1 < at {
                flow.push(&mut state, &tokens(HOP), false).unwrap();
                (state, _) = flow.run_ready(state).unwrap();
                hop += 1;
            }
            let mut before = state.clone();
            before.seal();
            flow.push(&mut before, &tokens(HOP), false).unwrap();
            c.bench_function(&format!("left {left_blocks}, hop {at}"), |b| {
                b.iter_custom(|n| {
                    let start = processor_time();
                    for _ in 0..n {
                        flow.run_ready(before.clone()).unwrap();
                    }
                    processor_time() - start
                });
            });
        }
        println!("{} MiB after {hop} hops", state.bytes() >> 20);
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(all);

//! Speech tokens to mel: every stage of the flow, whole sequences, and hop by hop.

use crate::support::{Golden, cases};
use burn::tensor::{Device, Tensor, activation};
use mynah::model::cosyvoice2::config::FlowConfig;
use mynah::model::cosyvoice2::flow::{
    Flow, FlowError, FlowPrompt, FlowState, Hop, MAX_FRAMES, Mask, UPSAMPLING, block_causal_bias,
    distance_encoding, time_schedule,
};
use mynah::model::weights::Weights;

const ENCODER: f32 = 1e-4;
const ESTIMATOR: f32 = 2e-4;
const MEL: f32 = 1e-4;

struct Case {
    golden: Golden,
    config: FlowConfig,
    flow: Flow,
    prompt: FlowPrompt,
    tokens: Vec<u32>,
    device: Device,
}

impl Case {
    /// The case, its model, and the proof that the model has asked for all of its weights.
    fn open(dir: &std::path::Path) -> Self {
        let device = crate::support::device();
        let golden = Golden::open(dir);
        let config: FlowConfig = serde_json::from_value(golden.config.clone()).expect("config");
        let size = |name: &str| golden.config[name].as_u64().expect(name) as usize;
        let weights = Weights::open(dir.join("weights.safetensors")).expect("weights");
        let scope = weights.scope(&device);
        let flow = Flow::load(&scope, &config, size("spk_embed_dim"), size("mel")).expect("flow");
        assert_eq!(weights.unused(), Vec::<String>::new());
        let prompt = FlowPrompt {
            tokens: golden.ids("prompt_token"),
            mel: golden.tensor("prompt_feat", &device),
            embedding: golden.tensor("embedding", &device),
        };
        let tokens = golden.ids("token");
        Self { golden, config, flow, prompt, tokens, device }
    }

    fn no_prompt(&self) -> FlowPrompt {
        let mel = Tensor::zeros([1, 0, self.prompt.mel.dims()[2]], &self.device);
        FlowPrompt { tokens: Vec::new(), mel, embedding: self.prompt.embedding.clone() }
    }
}

fn each_case(test: impl Fn(&Case)) {
    cases("flow").iter().for_each(|dir| test(&Case::open(dir)));
}

#[test]
fn golden_flow_encoder() {
    each_case(|case| {
        let (golden, encoder) = (&case.golden, &case.flow.encoder);
        let ids = [case.prompt.tokens.as_slice(), &case.tokens].concat();
        let length = ids.len();
        let embedded = case.flow.embed_tokens(&ids);
        golden.check("enc_in", embedded.clone(), ENCODER);
        let x = encoder.embed.forward(embedded.clone());
        golden.check("enc_embed_out", x.clone(), ENCODER);
        let x = encoder.look_ahead.forward(x, None, None);
        golden.check("enc_prelookahead_out", x.clone(), ENCODER);
        let mut x = encoder.layers[0].forward(x, None, None);
        golden.check("enc_layer0_out", x.clone(), ENCODER);
        for layer in &encoder.layers[1..] {
            x = layer.forward(x, None, None);
        }
        golden.check("enc_up_layer_out", encoder.upsample(x, None).swap_dims(1, 2), ENCODER);
        let width = golden.shape("enc_pos_emb")[2];
        let distances = distance_encoding(length, length, width, &case.device);
        golden.check("enc_pos_emb", distances, ENCODER);

        let ahead = case.config.pre_lookahead_len;
        let known = || embedded.clone().narrow(1, 0, length - ahead);
        let following = || Some(embedded.clone().narrow(1, length - ahead, ahead));
        let mask = |streaming: bool| streaming.then(Mask::default);
        let whole = |streaming| encoder.forward(embedded.clone(), None, mask(streaming), None);
        let part = |streaming| encoder.forward(known(), following(), mask(streaming), None);
        golden.check("enc_out_full", whole(false), ENCODER);
        golden.check("enc_out_streaming_finalize", whole(true), ENCODER);
        golden.check("enc_out_full_context", part(false), ENCODER);
        golden.check("enc_out_streaming_context", part(true), ENCODER);
    });
}

#[test]
fn golden_flow_estimator() {
    each_case(|case| {
        let (golden, estimator) = (&case.golden, &case.flow.estimator);
        let bct = |name: &str| golden.tensor::<3>(name, &case.device).swap_dims(1, 2);
        let embedding = estimator.time.forward(&golden.f32("est_t"), &case.device);
        golden.check("est_time_emb", embedding.clone(), ESTIMATOR);

        let (x, mu, cond) = (bct("est_x"), bct("est_mu"), bct("est_cond"));
        let [rows, frames, mel] = x.dims();
        let speaker = golden.tensor::<2>("est_spks", &case.device).unsqueeze_dim::<3>(1);
        assert!(golden.f32("est_mask").iter().all(|m| *m == 1.0), "frames are never masked out");
        let input = Tensor::cat(vec![x, mu, speaker.expand([rows, frames, mel]), cond], 2);

        let h = estimator.down.resnet.forward(input.clone(), embedding.clone());
        golden.check("est_down_resnet_out", h.clone().swap_dims(1, 2), ESTIMATOR);
        let h = estimator.down.blocks[0].forward(h, None, &mut []);
        golden.check("est_down_tblock0_out_btc", h, ESTIMATOR);

        let time = estimator.step_time(embedding);
        let full = estimator.forward(input.clone(), &time, None, &mut []);
        golden.check("est_out_full", full.swap_dims(1, 2), ESTIMATOR);
        let block = case.config.decoder.static_chunk_size;
        let bias = block_causal_bias(frames, block, None, &case.device);
        let streaming = estimator.forward(input, &time, Some(&bias), &mut []);
        golden.check("est_out_streaming", streaming.swap_dims(1, 2), ESTIMATOR);
    });
}

#[test]
fn golden_flow_noise_and_schedule() {
    each_case(|case| {
        let golden = &case.golden;
        let noise = |first, frames| case.flow.solver.noise(first, frames).swap_dims(1, 2);
        golden.check("rand_noise_used", noise(0, golden.shape("rand_noise_used")[2]), 1e-6);
        let name = "rand_noise_last16_of_each_row";
        let last = golden.shape(name)[1];
        golden.check(name, noise(MAX_FRAMES - last, last).squeeze_dim::<2>(0), 1e-6);
        golden.check_values("t_span", &time_schedule(case.config.n_timesteps), 1e-6);
    });
}

#[test]
fn golden_flow_whole() {
    each_case(|case| {
        let (golden, flow, prompt) = (&case.golden, &case.flow, &case.prompt);
        let whole = flow.inference(prompt, &case.tokens, false, true).expect("whole");
        golden.check("mel_full_nonstream", whole.clone(), MEL);
        let name = "mel_full_nonstream_noprompt";
        let some = &case.tokens[..golden.shape(name)[2] / UPSAMPLING];
        golden.check(name, flow.inference(&case.no_prompt(), some, false, true).unwrap(), MEL);

        let schedule = golden.config["stream_schedule"].as_array().expect("stream_schedule");
        let mut heard = Vec::new();
        for (k, call) in schedule.iter().enumerate() {
            let number = |name: &str| call[name].as_u64().expect(name) as usize;
            let (streaming, finalize) = (call["streaming"] == true, call["finalize"] == true);
            let tokens = &case.tokens[..number("n_tokens_in")];
            let run = |streaming| flow.inference(prompt, tokens, streaming, finalize).unwrap();
            let mel = run(streaming);
            let skip = number("token_offset") * UPSAMPLING;
            let new = |mel: Tensor<3>| mel.narrow(2, skip, number("new_frames"));
            if finalize {
                golden.check("mel_stream_final_upstream", new(mel.clone()), MEL);
                golden.check("mel_stream_final_streamflag", new(run(true)), MEL);
            } else {
                golden.check(&format!("mel_stream_chunk{k}_raw"), mel.clone(), MEL);
            }
            heard.push(new(mel));
        }
        golden.check("mel_stream_concat_upstream", Tensor::cat(heard, 2), MEL);
    });
}

/// Feeds `tokens` in portions of the given lengths, over and over, and compares every return with
/// the frames of the masked pass over the whole sequence. Gives the whole mel.
fn compare_with_whole(
    case: &Case,
    name: &str,
    mut state: FlowState,
    prompt: &FlowPrompt,
    tokens: &[u32],
    portions: &[usize],
) -> Tensor<3> {
    let flow = &case.flow;
    let whole = flow.inference(prompt, tokens, true, true).expect("whole");
    let (mut rest, mut heard, mut hops) = (tokens, 0, 0);
    let (mut error, mut norm) = (0f64, 0f64);
    let mut all = Vec::new();
    for portion in portions.iter().cycle() {
        let (given, left) = rest.split_at((*portion).min(rest.len()));
        rest = left;
        let last = rest.is_empty();
        let needed = state.tokens_needed();
        flow.push(&mut state, given, last).expect("tokens");
        let mel;
        (state, mel) = flow.run_ready(state).expect("hop");
        let new = mel.dims()[2];
        assert!(last || given.len() >= needed || new == 0, "{name}: frames before their tokens");
        if new > 0 {
            let want = whole.clone().narrow(2, heard, new);
            let difference: f32 = (mel.clone() - want.clone()).square().sum().into_scalar();
            let size: f32 = want.square().sum().into_scalar();
            let relative = f64::from(difference / size).sqrt();
            assert!(relative < 1e-4, "{name}: frames {heard}.. relative error {relative:e}");
            error += f64::from(difference);
            norm += f64::from(size);
            heard += new;
            hops += 1;
            all.push(mel);
        }
        if last {
            break;
        }
    }
    assert_eq!(heard, tokens.len() * UPSAMPLING, "{name}: frames");
    assert_eq!(flow.push(&mut state, &[], true).unwrap_err(), FlowError::Finished);
    println!("{name}: {hops} hops, relative error {:.2e}", (error / norm).sqrt());
    Tensor::cat(all, 2)
}

/// The state after all blocks of the prompt that can be computed.
pub fn voice(flow: &Flow, prompt: &FlowPrompt) -> FlowState {
    let mut state = flow.start(prompt).expect("start");
    while state.is_ready() {
        (state, _) = flow.run_hop(state).expect("prompt");
    }
    state.seal();
    state
}

/// The masked pass over the whole sequence and the cached one agree hop by hop: on the golden
/// tokens, on long random ones, with tokens coming in odd portions, with and without a prompt,
/// and in two sessions that share one prompt's state.
#[test]
fn golden_flow_streaming_incremental() {
    each_case(|case| {
        let (golden, flow, prompt) = (&case.golden, &case.flow, &case.prompt);
        let start = voice(flow, prompt);
        let mel =
            compare_with_whole(case, "golden", start.clone(), prompt, &case.tokens, &[13, 4, 29]);
        let last = golden.shape("mel_stream_final_streamflag")[2];
        let mel = mel.clone().narrow(2, mel.dims()[2] - last, last);
        golden.check("mel_stream_final_streamflag", mel, MEL);

        let mut seed = 1u32;
        let mut random = |count: usize| -> Vec<u32> {
            let vocabulary = case.config.vocab_size as u32;
            let next = |_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) % vocabulary
            };
            (0..count).map(next).collect()
        };
        let block = case.config.encoder.static_chunk_size;
        let long = random(12 * block + block / 2);
        compare_with_whole(case, "shared start", start, prompt, &long, &[1, 50, 7]);
        let none = case.no_prompt();
        let start = voice(flow, &none);
        compare_with_whole(case, "no prompt", start, &none, &long, &[block]);

        // A prompt of several complete blocks, of which the last ends on the grid.
        let tokens = random(3 * block);
        let mel = activation::tanh(flow.solver.noise(0, tokens.len() * UPSAMPLING));
        let aligned = FlowPrompt { tokens, mel, embedding: prompt.embedding.clone() };
        let start = voice(flow, &aligned);
        compare_with_whole(case, "aligned prompt", start, &aligned, &long[..block], &[3, 1]);
    });
}

/// Sessions of one voice that are at different blocks and different steps, all stepped together,
/// give to the bit what each gives alone.
pub fn compare_batch_with_alone(flow: &Flow, voice: &FlowState, tokens: &[u32]) {
    let sessions: Vec<FlowState> = [10, 25, 17, 10, 3]
        .iter()
        .enumerate()
        .map(|(i, first_hop)| {
            let mut state = voice.for_session(*first_hop);
            flow.push(&mut state, &tokens[i..tokens.len() - i], true).expect("tokens");
            state
        })
        .collect();
    let alone: Vec<Tensor<3>> =
        sessions.iter().map(|state| flow.run_ready(state.clone()).expect("alone").1).collect();

    let mut waiting: Vec<Option<FlowState>> = sessions.into_iter().map(Some).collect();
    let mut hops: Vec<(usize, Hop)> = Vec::new();
    let mut heard = vec![Vec::new(); waiting.len()];
    let mut largest = 0;
    for round in 0.. {
        for (i, state) in waiting.iter_mut().enumerate() {
            if round >= 7 * i
                && let Some(state) = state.take_if(|state| state.is_ready())
            {
                hops.push((i, flow.begin_hop(state)));
            }
        }
        if hops.is_empty() && round > 7 * waiting.len() {
            break;
        }
        largest = largest.max(hops.len());
        flow.advance(&mut hops.iter_mut().map(|(_, hop)| hop).collect::<Vec<_>>());
        for (i, hop) in hops.extract_if(.., |(_, hop)| hop.is_done()) {
            let (state, mel) = hop.finish().expect("a hop");
            heard[i].push(mel);
            waiting[i] = Some(state);
        }
    }
    assert!(largest > 2, "only {largest} at once");
    for (i, (alone, batched)) in alone.into_iter().zip(heard).enumerate() {
        let batched = batched.into_iter().filter(|mel| mel.dims()[2] > 0);
        let batched = Tensor::cat(batched.collect(), 2);
        assert!(alone.dims()[2] > 0);
        assert_eq!(bits(alone), bits(batched), "session {i}");
    }
}

fn bits(x: Tensor<3>) -> Vec<u32> {
    x.into_data().iter::<f32>().map(f32::to_bits).collect()
}

/// A window of past blocks gives hop by hop what the whole pass under the same window gives, and
/// the memory stays what it is.
pub fn compare_window_with_whole(
    flow: &mut Flow,
    prompt: &FlowPrompt,
    tokens: &[u32],
    left_blocks: usize,
) {
    flow.set_left_blocks(left_blocks);
    let whole = flow.inference(prompt, tokens, true, true).expect("whole");
    let mut state = flow.start(prompt).expect("start");
    flow.push(&mut state, tokens, false).expect("tokens");
    let (mut heard, mut held) = (Vec::new(), Vec::new());
    while state.is_ready() {
        let mel;
        (state, mel) = flow.run_hop(state).expect("a hop");
        heard.push(mel);
        held.push(state.bytes());
    }
    flow.push(&mut state, &[], true).expect("the end");
    heard.push(flow.run_ready(state).expect("the rest").1);
    let heard = Tensor::cat(heard.into_iter().filter(|mel| mel.dims()[2] > 0).collect(), 2);
    let size: f32 = whole.clone().square().sum().into_scalar();
    let difference: f32 = (heard - whole).square().sum().into_scalar();
    let relative = (difference / size).sqrt();
    println!("{left_blocks} left blocks: {} hops, relative error {relative:.2e}", held.len() + 1);
    assert!(relative < 1e-4, "{left_blocks} left blocks: relative error {relative:e}");
    if left_blocks == 0 {
        return;
    }
    // Pages are of several blocks, so memory goes up and down with them.
    let most = |of: &[usize]| of.iter().max().copied();
    let (before, last) = held.split_at(held.len() - 5);
    assert!(before.len() > left_blocks + 8, "too few hops to tell");
    assert!(most(last) <= most(before), "memory grows: {held:?}");
    flow.set_left_blocks(0);
}

#[test]
fn golden_flow_batch() {
    each_case(|case| {
        let block = case.config.encoder.static_chunk_size;
        let tokens: Vec<u32> = case.tokens.iter().copied().cycle().take(5 * block).collect();
        compare_batch_with_alone(&case.flow, &voice(&case.flow, &case.prompt), &tokens);
    });
}

#[test]
fn golden_flow_window() {
    each_case(|case| {
        let block = case.config.encoder.static_chunk_size;
        let tokens: Vec<u32> =
            case.tokens.iter().copied().cycle().take(18 * block + block / 2).collect();
        let Case { golden, prompt, .. } = case;
        let mut flow = Case::open(&golden.dir).flow;
        for left_blocks in [1, 3] {
            compare_window_with_whole(&mut flow, prompt, &tokens, left_blocks);
        }
    });
}

/// A session that cuts the voice's prompt for its first hop is the one that was given the cut
/// prompt from the start.
#[test]
fn golden_flow_first_hop() {
    each_case(|case| {
        let flow = &case.flow;
        let block = case.config.encoder.static_chunk_size;
        let tokens: Vec<u32> = case.tokens.iter().copied().cycle().take(3 * block + 5).collect();
        let mel = activation::tanh(flow.solver.noise(0, tokens.len() * UPSAMPLING));
        let prompt = FlowPrompt { tokens, mel, embedding: case.prompt.embedding.clone() };
        for configured in [1, block.div_ceil(2), block] {
            let mut voice = flow.start(&prompt).expect("start");
            while voice.prompt_blocks(configured) > 0 {
                (voice, _) = flow.run_hop(voice).expect("prompt");
            }
            voice.seal();
            for first_hop in [configured, block.saturating_sub(4).max(1), block] {
                if first_hop < configured {
                    continue;
                }
                let state = voice.for_session(first_hop);
                let ahead = case.config.pre_lookahead_len;
                assert!(state.tokens_needed() <= first_hop + ahead);
                let kept = state.tokens();
                let cut = FlowPrompt {
                    tokens: prompt.tokens[..kept].to_vec(),
                    mel: prompt.mel.clone().narrow(1, 0, kept * UPSAMPLING),
                    embedding: prompt.embedding.clone(),
                };
                let name = format!("first hop {first_hop}, voice for {configured}");
                compare_with_whole(case, &name, state, &cut, &case.tokens, &[first_hop, 25]);
            }
        }
    });
}

/// What a client can send wrong is an error, and leaves the state as it was.
#[test]
fn golden_flow_refuses() {
    each_case(|case| {
        let (flow, prompt) = (&case.flow, &case.prompt);
        let vocabulary = case.config.vocab_size;
        let bad = vocabulary as u32;
        let unknown = FlowError::UnknownToken { id: bad, vocabulary };
        assert_eq!(flow.inference(prompt, &[0, bad], true, true).unwrap_err(), unknown);
        let long = vec![0; MAX_FRAMES / UPSAMPLING + 1 - prompt.tokens.len()];
        let frames = MAX_FRAMES + UPSAMPLING;
        let too_long = FlowError::TooLong { frames, limit: MAX_FRAMES };
        assert_eq!(flow.inference(prompt, &long, true, true).unwrap_err(), too_long);

        let mut state = flow.start(prompt).expect("start");
        let before = (state.tokens(), state.bytes());
        assert_eq!(flow.push(&mut state, &[bad], false).unwrap_err(), unknown);
        assert_eq!(flow.push(&mut state, &long, true).unwrap_err(), too_long);
        assert_eq!((state.tokens(), state.bytes()), before);

        let mut cut = prompt.clone();
        cut.tokens.pop();
        assert!(matches!(flow.start(&cut).unwrap_err(), FlowError::Prompt { part: "mel", .. }));
        let none = flow.inference(&case.no_prompt(), &[1, 2], true, false).expect("nothing");
        assert_eq!(none.dims()[2], 0);
    });
}

#!/usr/bin/env python3
"""Mynah and the original PyTorch runtime of CosyVoice2 on the same weights, in one run.

    cargo build --release
    python3 benches/vs_upstream.py --upstream /path/to/CosyVoice
    python3 benches/vs_upstream.py --upstream /path/to/CosyVoice --model /models/CosyVoice2-0.5B -n 4

Use the Python of an environment in which the original works. What it imports here: torch,
torchaudio (below 2.9), transformers, diffusers, conformer, lightning, hydra-core, HyperPyYAML with
ruamel.yaml<0.18, omegaconf, modelscope, librosa, soundfile, onnxruntime, openai-whisper, inflect,
x-transformers, matplotlib, pyworld, gdown, wget, rich, pyarrow. The checkout needs its submodule
third_party/Matcha-TTS, and the machine nothing else to do.

What is compared: one session at a time, f32 on the CPU with a thread per physical core (or on the
first GPU, with --device cuda), whole text in, streamed audio out, the voice's features cached on
both sides, everything warm.

* The original is called in process: `CosyVoice2.inference_zero_shot(..., stream=True)` of the
  checkout as it stands, with a voice added by `add_zero_shot_spk`, and its log switched off. For
  the bundled voice, two layers whose width it takes to be 512 are made as wide as the weights.
  Before each request its `token_hop_len` is set back to where it started, since a request leaves
  it larger and the next one's first packet would come later; `--keep-hop` leaves it.
  OMP_WAIT_POLICY=PASSIVE in the environment may do it good: take the better of both.
* Mynah is `mynah serve` at its defaults, asked over HTTP on a new connection each time.

The sides take turns, sentence by sentence, and swap who begins, so that whatever else the machine
does meets both. They draw other random numbers, so their sentences differ in length: speed is
audio seconds per second, over all sentences. Exit codes: 0 measured, 1 failed, 2 wrong usage.
"""

import argparse
import contextlib
import http.client
import json
import logging
import os
import pathlib
import platform
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "model_weights" / "mynah-mini"
#: Those of `mynah bench`.
SENTENCES = [
    "The bus was late because of the heavy rain.",
    "Good morning and welcome to the show.",
    "We had dinner with our friends last night.",
    "The old man walked slowly across the bridge.",
]
WEIGHTS = ["llm.pt", "flow.pt", "hift.pt", "campplus.onnx", "speech_tokenizer_v2.onnx"]
#: Seconds that one sentence, or loading, may take.
PATIENCE = 600
#: Seconds between two turns, in which the threads of the one before go to sleep.
PAUSE = 0.3
#: The key of a figure.
PROCESSOR = "processor_seconds_per_audio_second"


class Failure(Exception):
    """What the user is told, without a traceback."""


class Spoken:
    """Takes the times of one sentence, from its making on."""

    def __init__(self):
        self.start = time.perf_counter()
        self.first = None
        self.first_audio = self.audio = 0.0

    def packet(self, seconds):
        if self.first is None and seconds:
            self.first = time.perf_counter() - self.start
            self.first_audio = seconds
        self.audio += seconds

    def end(self, who):
        self.elapsed = time.perf_counter() - self.start
        if self.first is None:
            raise Failure(f"{who} gave no audio")
        return self


# ---- Mynah


class Mynah:
    name = "mynah"

    def __init__(self, args, folder):
        self.voice = args.voice
        environment = dict(os.environ)
        if args.threads:
            environment["MYNAH_ENGINE__THREADS"] = str(args.threads)
        environment["MYNAH_MODEL__DEVICE"] = args.device
        environment["MYNAH_MODEL__DTYPE"] = "f32"
        command = [args.mynah, "serve", "--host", "127.0.0.1", "--port", "0", "--log", "warn"]
        # In a folder without a config.toml: the defaults.
        self.process = subprocess.Popen(
            [str(part) for part in command + ["--model-dir", args.model]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.address = self.wait()
        except BaseException:
            self.stop()
            raise

    def wait(self):
        """The server's host and port, once its model is loaded."""
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("listening on http://"):
            raise Failure("mynah did not start; its own message is above")
        address = line.split("//", 1)[1].strip()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = http.client.HTTPConnection(address, timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/readiness")
                if connection.getresponse().status == 200:
                    return address
            time.sleep(0.05)
        raise Failure("mynah did not get ready")

    def speak(self, text, seed):
        fields = {"tts_text": text, "voice": self.voice, "stream": "true", "seed": seed}
        body = urllib.parse.urlencode(fields)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        spoken = Spoken()
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", "/inference_zero_shot", body, form)
            answer = connection.getresponse()
            if answer.status != 200:
                raise Failure(f"mynah answered {answer.status}: {answer.read(2000).decode()}")
            bytes_per_second = 2 * int(answer.headers["X-Sample-Rate"])
            while data := answer.read1(1 << 20):
                spoken.packet(len(data) / bytes_per_second)
        return spoken.end("mynah")

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- the original


class Tagged(str):
    """YAML as it is to be written."""


def flow(value):
    """`value` in YAML's flow style."""
    if isinstance(value, Tagged):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return json.dumps(value)


def new(path, **fields):
    return Tagged(f"!new:{path} {flow(fields)}")


def name(path, **fields):
    return Tagged(f"!name:{path} {flow(fields)}")


def cosyvoice2_yaml(config):
    """The object graph that the original wants, with the sizes of Mynah's `config.json`."""
    mels = 80
    rate, hidden = config["sample_rate"], config["llm"]["hidden_size"]
    encoder, decoder = dict(config["flow"]["encoder"]), config["flow"]["decoder"]
    hift, width = dict(config["hift"]), encoder["output_size"]
    # The original takes the blocks after the upsampling to be four.
    if encoder.pop("num_up_blocks", 4) != 4:
        raise Failure("the original knows only flow encoders with 4 blocks after upsampling")
    if config["flow"].get("n_timesteps", 10) != 10:
        raise Failure("the original always takes 10 Euler steps")
    f0_channels = hift.pop("f0_cond_channels")
    cfm = {
        "sigma_min": Tagged("0.000001"),
        "t_scheduler": "cosine",
        "solver": "euler",
        "training_cfg_rate": 0.2,
        "inference_cfg_rate": config["flow"]["inference_cfg_rate"],
        "reg_loss_type": "l1",
    }
    parts = {
        "sample_rate": rate,
        "qwen_pretrain_path": "",
        "llm": new(
            "cosyvoice.llm.llm.Qwen2LM",
            llm_input_size=hidden,
            llm_output_size=hidden,
            speech_token_size=config["speech_token_size"],
            mix_ratio=config["mix_ratio"],
            llm=new(
                "cosyvoice.llm.llm.Qwen2Encoder",
                pretrain_path=Tagged("!ref <qwen_pretrain_path>"),
            ),
            sampling=name("cosyvoice.utils.common.ras_sampling", **config["sampling"]),
        ),
        "flow": new(
            "cosyvoice.flow.flow.CausalMaskedDiffWithXvec",
            input_size=width,
            output_size=mels,
            spk_embed_dim=config["spk_embed_dim"],
            vocab_size=config["flow"]["vocab_size"],
            input_frame_rate=config["token_frame_rate"],
            token_mel_ratio=config["token_mel_ratio"],
            pre_lookahead_len=config["flow"]["pre_lookahead_len"],
            encoder=new(
                "cosyvoice.transformer.upsample_encoder.UpsampleConformerEncoder",
                input_size=width,
                input_layer="linear",
                pos_enc_layer_type="rel_pos_espnet",
                selfattention_layer_type="rel_selfattn",
                normalize_before=True,
                use_cnn_module=False,
                macaron_style=False,
                **encoder,
            ),
            decoder=new(
                "cosyvoice.flow.flow_matching.CausalConditionalCFM",
                in_channels=3 * mels,
                n_spks=1,
                spk_emb_dim=mels,
                cfm_params=new("omegaconf.DictConfig", content=cfm),
                estimator=new(
                    "cosyvoice.flow.decoder.CausalConditionalDecoder",
                    in_channels=4 * mels,
                    out_channels=mels,
                    dropout=0.0,
                    act_fn="gelu",
                    num_decoding_left_chunks=-1,
                    **decoder,
                ),
            ),
        ),
        "hift": new(
            "cosyvoice.hifigan.generator.HiFTGenerator",
            in_channels=mels,
            sampling_rate=rate,
            nsf_alpha=0.1,
            nsf_sigma=0.003,
            nsf_voiced_threshold=10,
            lrelu_slope=0.1,
            audio_limit=0.99,
            f0_predictor=new(
                "cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor",
                num_class=1,
                in_channels=mels,
                cond_channels=f0_channels,
            ),
            **hift,
        ),
        "get_tokenizer": name(
            "cosyvoice.tokenizer.tokenizer.get_qwen_tokenizer",
            token_path=Tagged("!ref <qwen_pretrain_path>"),
            skip_special_tokens=True,
        ),
        "allowed_special": "all",
        "feat_extractor": name(
            "matcha.utils.audio.mel_spectrogram",
            n_fft=4 * 480,
            num_mels=mels,
            sampling_rate=rate,
            hop_size=480,
            win_size=4 * 480,
            fmin=0,
            fmax=8000,
            center=False,
        ),
    }
    return "".join(f"{key}: {flow(value)}\n" for key, value in parts.items())


def free_the_width():
    """Two layers of the original's flow encoder are 512 wide whatever it is told; not after this."""
    from cosyvoice.transformer import upsample_encoder

    encoder = upsample_encoder.UpsampleConformerEncoder
    build = encoder.__init__

    def build_at_width(self, *args, **sizes):
        build(self, *args, **sizes)
        width, look = self.output_size(), self.pre_lookahead_layer
        if look.channels != width:
            self.pre_lookahead_layer = type(look)(width, width, look.pre_lookahead_len)
            self.up_layer = type(self.up_layer)(width, width, self.up_layer.stride)

    encoder.__init__ = build_at_width


def link(source, folder):
    """Links what is in `source` and not yet in `folder`."""
    for path in source.iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve())


def complete_model(model, folder):
    """Puts into `folder` links to a model directory, and what the original misses in it."""
    if not (model / "cosyvoice2.yaml").exists():
        config = json.loads((model / "config.json").read_text())
        (folder / "cosyvoice2.yaml").write_text(cosyvoice2_yaml(config))
    blank = model / "CosyVoice-BlankEN"
    if not (blank / "model.safetensors").exists():
        # The original fills its language model from here before it loads llm.pt over it.
        import transformers

        config = transformers.Qwen2Config.from_pretrained(blank)
        made = folder / blank.name
        transformers.Qwen2ForCausalLM(config).save_pretrained(made)
        link(blank, made)
    link(model, folder)


class Upstream:
    name = "upstream"

    def __init__(self, args, folder):
        os.environ["TQDM_DISABLE"] = "1"
        os.environ["TRANSFORMERS_VERBOSITY"] = "error"
        # Nothing is to be fetched; the model is here.
        os.environ["HF_HUB_OFFLINE"] = "1"
        if args.device == "cpu":
            # Also where there is a GPU, which the original would take.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        warnings.filterwarnings("ignore")
        sys.path[:0] = [str(args.upstream), str(args.upstream / "third_party" / "Matcha-TTS")]
        try:
            import numpy
            import torch
            from cosyvoice.cli.cosyvoice import CosyVoice2
        except Exception as error:
            # Not only ImportError: packages that do not fit each other fail in many ways.
            raise Failure(
                f"the original does not load in {sys.executable}: {error}\n"
                "Use the Python of an environment in which it works (see --help)."
            ) from error
        logging.disable(logging.CRITICAL)
        self.torch, self.numpy = torch, numpy
        self.threads = args.threads or physical_cores()
        torch.set_num_threads(self.threads)
        with the_original("load"):
            complete_model(args.model, folder)
            free_the_width()
            self.runtime = CosyVoice2(str(folder))
            self.runtime.add_zero_shot_spk(args.prompt_text, str(args.prompt_wav), args.voice)
        self.voice, self.keep_hop = args.voice, args.keep_hop
        model = self.runtime.model
        parameters = [p for part in (model.llm, model.flow, model.hift) for p in part.parameters()]
        if any(p.dtype != torch.float32 or p.device.type != args.device for p in parameters):
            raise Failure(f"the original did not load as f32 on the device {args.device}")
        self.gpu = torch.cuda.get_device_name(0) if args.device == "cuda" else None
        self.hop = model.token_hop_len

    def speak(self, text, seed):
        random.seed(seed)
        self.numpy.random.seed(seed)
        self.torch.manual_seed(seed)
        if not self.keep_hop:
            self.runtime.model.token_hop_len = self.hop
        spoken = Spoken()
        with the_original("speak"):
            parts = self.runtime.inference_zero_shot(
                text, "", "", zero_shot_spk_id=self.voice, stream=True
            )
            for part in parts:
                spoken.packet(part["tts_speech"].shape[1] / self.runtime.sample_rate)
        return spoken.end("the original")

    def processor_seconds(self):
        return time.process_time()

    def stop(self):
        pass


@contextlib.contextmanager
def the_original(does):
    """What fails inside is the original's; so are prints. It gets PATIENCE seconds."""

    def give_up(*_):
        raise Failure(f"the original failed to {does}, or took over {PATIENCE} s")

    def thread_failed(failed):
        # It would wait for this thread for ever.
        sys.__excepthook__(failed.exc_type, failed.exc_value, failed.exc_traceback)
        signal.raise_signal(signal.SIGALRM)

    threading.excepthook = thread_failed
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except Failure:
        raise
    except Exception as error:
        raise Failure(f"the original failed to {does}: {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
        threading.excepthook = threading.__excepthook__


# ---- the machine


def cpu_info(key):
    """The values of one key of /proc/cpuinfo, processor by processor."""
    with open("/proc/cpuinfo") as file:
        pairs = (line.split(":", 1) for line in file if ":" in line)
        return [value.strip() for found, value in pairs if found.strip() == key]


def physical_cores():
    usable = os.sched_getaffinity(0)
    cores = list(zip(cpu_info("physical id"), cpu_info("core id")))
    if len(cores) == os.cpu_count():
        return len({core for number, core in enumerate(cores) if number in usable})
    return len(usable)


def busy_seconds():
    """Processor seconds that the whole machine has spent, those taken by its host too."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


# ---- the comparison


def measure(sides, n, seed):
    """Speaks `n` sentences on each side. Returns what each took and what others took meanwhile."""
    for text in SENTENCES:
        for side in sides:
            side.speak(text, seed)
    samples = {side.name: [] for side in sides}
    spent = dict.fromkeys(samples, 0.0)
    busy = lambda: busy_seconds() - sum(side.processor_seconds() for side in sides)
    start, busy_before = time.perf_counter(), busy()
    for index in range(n):
        for side in sides if index % 2 == 0 else sides[::-1]:
            time.sleep(PAUSE)
            before = side.processor_seconds()
            round_seed = seed + index // len(SENTENCES)
            samples[side.name].append(side.speak(SENTENCES[index % len(SENTENCES)], round_seed))
            spent[side.name] += side.processor_seconds() - before
    others = (busy() - busy_before) / (time.perf_counter() - start)
    return {name: figures(samples[name], spent[name]) for name in samples}, max(others, 0.0)


def figures(samples, processor_seconds):
    first = [1e3 * sample.first for sample in samples]
    audio = sum(sample.audio for sample in samples)
    elapsed = sum(sample.elapsed for sample in samples)
    return {
        "first_packet_ms": {"p50": statistics.median(first), "min": min(first), "max": max(first)},
        "first_packet_audio_ms": statistics.median(1e3 * s.first_audio for s in samples),
        "audio_seconds": audio,
        "audio_seconds_per_second": audio / elapsed,
        "rtf": elapsed / audio,
        PROCESSOR: processor_seconds / audio,
    }


def table(result):
    print(f"{result['machine']}; torch {result['torch']}; {result['threads']} threads, f32")
    print(
        f"{result['model']}, voice {result['voice']} (cached), whole text, streamed, one session,"
        f" {result['n']} sentences a side, warm; load average before {result['load_before']:.2f}"
    )
    for key, value in result["openmp"].items():
        print(f"{key}={value}")
    if result["keep_hop"]:
        print("the original's hop as the sentence before left it")
    print(f"{'':24} {'Mynah':>10} {'original':>10} {'ratio':>8}")

    def row(title, digits, get, ratio=None):
        cells = "".join(f" {get(result[side]):10.{digits}f}" for side in ("mynah", "upstream"))
        print(f"{title:24}{cells}" + (f" {result['ratios'][ratio]:8.2f}" if ratio else ""))

    row("first packet p50, ms", 0, lambda side: side["first_packet_ms"]["p50"], "first_packet")
    row("  fastest, ms", 0, lambda side: side["first_packet_ms"]["min"])
    row("  slowest, ms", 0, lambda side: side["first_packet_ms"]["max"])
    row("  audio in it, ms", 0, lambda side: side["first_packet_audio_ms"])
    row("audio s per s", 2, lambda side: side["audio_seconds_per_second"], "speed")
    row("real-time factor", 3, lambda side: side["rtf"])
    row("processor s per audio s", 3, lambda side: side[PROCESSOR], "processor")
    row("audio in all, s", 1, lambda side: side["audio_seconds"])
    print(f"other programs meanwhile: {result['other_load']:.2f} processors")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--upstream", type=pathlib.Path, required=True, help="a checkout of the original")
    add("--model", type=pathlib.Path, default=BUNDLED, help="model directory [the bundled voice]")
    add(
        "--mynah",
        type=pathlib.Path,
        default=ROOT / "target" / "release" / "mynah",
        help="the binary [target/release/mynah]",
    )
    add("--device", choices=["cpu", "cuda"], default="cpu", help="of both sides [%(default)s]")
    add("--voice", default="slt", help="a prompt of the model [%(default)s]")
    add("-n", "--n", type=int, default=10, help="sentences on each side [%(default)s]")
    add("--seed", type=int, default=7, help="of the first round [%(default)s]")
    add("--threads", type=int, help="on both sides [physical cores]")
    add("--keep-hop", action="store_true", help="do not reset the original's hop")
    add("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    if args.n < 1 or (args.threads is not None and args.threads < 1):
        parser.error("--n and --threads must be at least 1")
    for key in ("upstream", "model", "mynah"):
        setattr(args, key, getattr(args, key).expanduser().resolve())
    if not (args.upstream / "cosyvoice" / "cli" / "cosyvoice.py").is_file():
        parser.error(f"{args.upstream} is not a checkout of CosyVoice: no cosyvoice/cli/cosyvoice.py")
    if not (args.upstream / "third_party" / "Matcha-TTS" / "matcha").is_dir():
        parser.error(
            f"{args.upstream} has no third_party/Matcha-TTS: "
            "`git submodule update --init` in the checkout"
        )
    missing = [file for file in WEIGHTS if not (args.model / file).is_file()]
    if missing:
        parser.error(f"{args.model} is not a model directory: no {', '.join(missing)}")
    if not any((args.model / file).is_file() for file in ("cosyvoice2.yaml", "config.json")):
        parser.error(f"{args.model} has neither cosyvoice2.yaml nor config.json")
    if not args.mynah.is_file():
        parser.error(f"no {args.mynah}: `cargo build --release`, or name the binary with --mynah")
    prompts = args.model / "prompts"
    # Mynah gives the bundled voice's prompts to a model without any.
    prompts = prompts if prompts.is_dir() else BUNDLED / "prompts"
    args.prompt_wav = prompts / f"{args.voice}.wav"
    try:
        args.prompt_text = (prompts / f"{args.voice}.txt").read_text().strip()
        args.prompt_wav.open("rb").close()
    except OSError as error:
        parser.error(f"no voice {args.voice}: {error}")
    return args


def compare(args):
    load = os.getloadavg()[0]
    if load > 1:
        print(
            f"warning: load average {load:.2f}; read the ratios, not the figures", file=sys.stderr
        )
    with contextlib.ExitStack() as stack:
        temporary = lambda: pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = Upstream(args, temporary())
        mynah = Mynah(args, temporary())
        stack.callback(mynah.stop)
        sides, others = measure([upstream, mynah], args.n, args.seed)
    ours, theirs = sides["mynah"], sides["upstream"]
    result = {
        "machine": f"{next(iter(cpu_info('model name')), platform.machine())}, "
        f"{physical_cores()} physical cores" + (f", {upstream.gpu}" if upstream.gpu else ""),
        "device": args.device,
        "torch": upstream.torch.__version__,
        "threads": upstream.threads,
        "precision": "f32",
        "model": args.model.name,
        "voice": args.voice,
        "n": args.n,
        "keep_hop": args.keep_hop,
        "openmp": {key: value for key, value in os.environ.items() if key.startswith("OMP_")},
        "load_before": load,
        "other_load": others,
        **sides,
        # All of them: how many times better Mynah is.
        "ratios": {
            "first_packet": theirs["first_packet_ms"]["p50"] / ours["first_packet_ms"]["p50"],
            "speed": ours["audio_seconds_per_second"] / theirs["audio_seconds_per_second"],
            "processor": theirs[PROCESSOR] / ours[PROCESSOR],
        },
    }
    if args.json:
        print(json.dumps(result))
    else:
        table(result)
    if others > 0.5:
        print(
            "warning: other programs took much of the machine; read the ratios, not the figures",
            file=sys.stderr,
        )


def main():
    args = arguments()
    # Ended from outside, it still ends its server and removes its folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        compare(args)
    except (Failure, OSError, http.client.HTTPException) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

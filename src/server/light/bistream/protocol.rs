//! What a client may say on the socket, and in which order. Knows no socket and no engine.
//!
//! ```text
//! init ──► prompt (binary, one or several) ──► text, text, … ──► finish
//!   └──────── with `voice`, no prompt ─────────────▲
//! ```

use crate::server::error::ApiError;
use crate::server::format::{Container, check_rate};
use crate::server::light::fields;
use crate::server::text as reading;
use serde_json::{Map, Value};

/// How much a client may say.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub frame_chars: usize,
    pub total_chars: usize,
    pub prompt_bytes: usize,
}

/// The first frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    pub voice: Voice,
    /// None: the loaded model.
    pub tts_model_name: Option<String>,
    pub sample_rate: Option<u32>,
    pub container: Container,
    pub seed: Option<u64>,
    pub normalize: Option<bool>,
    /// Whether JSON frames tell of the progress.
    pub events: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Voice {
    Named(String),
    /// What is said in the prompt that follows.
    Prompt(String),
}

/// What a frame of text means.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// More text, to be passed on as it is; empty while there is nothing but blanks.
    pub text: String,
    /// No more follows.
    pub finish: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Init,
    /// Awaiting the prompt, or more of it.
    Prompt,
    Text,
    Finished,
}

/// One connection's side of the conversation so far.
pub struct Protocol {
    limits: Limits,
    state: State,
    prompt: Vec<u8>,
    prompt_bytes: usize,
    /// Whether any of the prompt came, be it empty.
    prompted: bool,
    /// Characters so far.
    chars: usize,
    /// Blanks before the first word, held back: they are not yet something to say.
    blanks: Option<String>,
}

impl Protocol {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Init,
            prompt: Vec::new(),
            prompt_bytes: 0,
            prompted: false,
            chars: 0,
            blanks: Some(String::new()),
        }
    }

    /// Whether the first frame is still to come.
    pub fn awaits_init(&self) -> bool {
        self.state == State::Init
    }

    /// The prompt as it came so far.
    pub fn prompt(&self) -> &[u8] {
        &self.prompt
    }

    /// The prompt, which has to be complete.
    pub fn take_prompt(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.prompt)
    }

    /// Bytes of prompt that came so far.
    pub fn prompt_bytes(&self) -> usize {
        self.prompt_bytes
    }

    /// Characters that came so far.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// Takes the first frame. None: the client has nothing to say at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn init(&mut self, frame: &str) -> Result<Option<Init>, ApiError> {
        let json = object(frame)?;
        let text = |name: &str| match json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.trim().is_empty())),
            Some(_) => Err(ApiError::InvalidParameter(format!("`{name}` must be a string"))),
        };
        let number = |name: &str| match json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => fields::integer(name, &number.to_string()).map(Some),
            Some(_) => Err(ApiError::InvalidParameter(format!("`{name}` must be a whole number"))),
        };
        if json.contains_key("tts_text") {
            let blank = text("tts_text")?.is_none();
            if blank && flag(&json, "finish")? {
                return Ok(None);
            }
            return Err(order("the first frame must hold `prompt_text` or `voice`, no text"));
        }
        let voice = match (text("voice")?, text("prompt_text")?) {
            (Some(name), _) => Voice::Named(name),
            (None, Some(prompt)) => {
                fields::check_length(&prompt, self.limits.frame_chars)?;
                Voice::Prompt(prompt)
            }
            (None, None) if flag(&json, "finish")? => return Ok(None),
            (None, None) => {
                let words = "the first frame must hold `prompt_text` or `voice`";
                return Err(ApiError::InvalidParameter(words.into()));
            }
        };
        let container = text("response_format")?.as_deref().map(Container::parse).transpose()?;
        let init = Init {
            tts_model_name: text("tts_model_name")?,
            sample_rate: number("sample_rate")?.map(check_rate).transpose()?,
            container: container.unwrap_or(Container::Pcm),
            seed: number("seed")?.map(fields::seed).transpose()?,
            normalize: reading::asked(&json)?,
            events: flag(&json, "events")?,
            voice,
        };
        self.state = match init.voice {
            Voice::Named(_) => State::Text,
            Voice::Prompt(_) => State::Prompt,
        };
        Ok(Some(init))
    }

    /// Takes a piece of the prompt.
    ///
    /// # Errors
    /// Where none is awaited, or too much comes.
    pub fn binary(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        match self.state {
            State::Prompt => {}
            State::Init => return Err(order("the prompt audio must come after the first frame")),
            State::Text | State::Finished => {
                return Err(order("no audio is expected here: the voice is settled"));
            }
        }
        self.prompted = true;
        self.prompt_bytes = self.prompt_bytes.saturating_add(piece.len());
        let limit = self.limits.prompt_bytes;
        if self.prompt_bytes > limit {
            return Err(ApiError::PayloadTooLarge { limit });
        }
        self.prompt.extend_from_slice(piece);
        Ok(())
    }

    /// Takes a text frame after the first. It ends the prompt.
    ///
    /// # Errors
    /// What is wrong with it, or with its place.
    pub fn text(&mut self, frame: &str) -> Result<Said, ApiError> {
        if self.state == State::Finished {
            return Err(order("nothing may follow `finish`"));
        }
        let json = object(frame)?;
        let text = match json.get("tts_text") {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(_) => {
                return Err(ApiError::InvalidParameter("`tts_text` must be a string".into()));
            }
        };
        let finish = flag(&json, "finish")?;
        if !json.contains_key("tts_text") && !json.contains_key("finish") {
            let words = "the frame holds neither `tts_text` nor `finish`";
            return Err(ApiError::InvalidParameter(words.into()));
        }
        if self.state == State::Prompt && !self.prompted && !text.trim().is_empty() {
            return Err(order("the prompt audio must come before the text"));
        }
        fields::check_length(text, self.limits.frame_chars)?;
        self.chars += text.chars().count();
        let limit = self.limits.total_chars;
        if self.chars > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        if finish {
            self.state = State::Finished;
        } else if self.state == State::Prompt && self.prompted {
            self.state = State::Text;
        }
        Ok(Said { text: self.worded(text), finish })
    }

    /// Adds the blanks held before the first word, or holds what is blank.
    fn worded(&mut self, text: &str) -> String {
        match self.blanks.take() {
            None => text.into(),
            Some(blanks) if text.trim().is_empty() => {
                self.blanks = Some(blanks + text);
                String::new()
            }
            Some(blanks) => blanks + text,
        }
    }
}

fn order(words: &str) -> ApiError {
    ApiError::WrongOrder(words.into())
}

fn object(frame: &str) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_str(frame) {
        Ok(Value::Object(json)) => Ok(json),
        Ok(_) => Err(ApiError::InvalidParameter("the frame is not a JSON object".into())),
        Err(e) => Err(ApiError::InvalidParameter(format!("the frame is not JSON: {e}"))),
    }
}

/// A boolean that may be missing, in any spelling.
fn flag(json: &Map<String, Value>, name: &str) -> Result<bool, ApiError> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) => fields::boolean(name, text),
        Some(other) => fields::boolean(name, &other.to_string()),
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;

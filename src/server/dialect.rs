//! The interfaces that Mynah speaks, and what an error looks like in each.

use serde_json::{Value, json};

/// One of the interfaces. Each is a router of its own over the same engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// What belongs to none, or to all: health, metrics, documentation, the demo.
    Common,
    Light,
    Index,
    Index2,
    Workflow,
    Tasks,
    Openai,
    Realtime,
}

/// The interfaces that a listener serves. Requests carry it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialects(u16);

impl Dialects {
    pub const ALL: Self = Self::of(&Dialect::ALL);

    pub const fn of(dialects: &[Dialect]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < dialects.len() {
            bits |= 1 << dialects[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// # Errors
    /// What is wrong: a name that none has, or no name at all.
    pub fn by_names(names: &[String]) -> Result<Self, String> {
        let known = || Dialect::ALL.map(Dialect::name).join(", ");
        let mut set = Self(0);
        for name in names {
            let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
            let dialect = dialect.ok_or_else(|| format!("`{name}` is none of {}", known()))?;
            set.0 |= 1 << dialect as u16;
        }
        if set.0 == 0 { Err(format!("must name some of {}", known())) } else { Ok(set) }
    }

    pub fn contains(self, dialect: Dialect) -> bool {
        self.0 & (1 << dialect as u16) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL.into_iter().filter(move |dialect| self.contains(*dialect))
    }

    /// The one dialect of a listener that serves no other.
    pub fn only(self) -> Option<Dialect> {
        let mut each = self.iter();
        each.next().filter(|_| each.next().is_none())
    }
}

impl Dialect {
    /// All that a listener can serve or leave out.
    pub const ALL: [Self; 7] = [
        Self::Light,
        Self::Index,
        Self::Index2,
        Self::Workflow,
        Self::Tasks,
        Self::Openai,
        Self::Realtime,
    ];

    /// As settings, metrics and documentation name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Light => "light",
            Self::Index => "index",
            Self::Index2 => "index2",
            Self::Workflow => "workflow",
            Self::Tasks => "tasks",
            Self::Openai => "openai",
            Self::Realtime => "realtime",
        }
    }

    /// The one a path belongs to, whatever paths clients make up.
    pub fn of(path: &str) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match path {
            "/inference_zero_shot" | "/inference_zero_shot_bistream" | "/query_tts_model" => {
                Self::Light
            }
            "/"
            | "/synthesize"
            | "/synthesize_simple"
            | "/synthesize_stream"
            | "/synthesize_stream_opus"
            | "/opus_queue_status"
            | "/reference_audios"
            | "/model_info"
            | "/test"
            | "/test_stream" => Self::Index,
            _ if below("/download_reference_audio") => Self::Index,
            _ if below("/v1/workflows") || below("/api/v1/monitoring") => Self::Workflow,
            _ if below("/api/v1") => Self::Index2,
            _ if below("/api/tts") => Self::Tasks,
            _ if below("/v1/realtime") => Self::Realtime,
            _ if below("/v1/audio") || below("/v1/models") => Self::Openai,
            _ => Self::Common,
        }
    }

    /// An error's body: the common one, with what this interface's clients look for.
    pub fn error(self, status: u16, mut common: Value) -> Value {
        let text = |key: &str| common[key].as_str().unwrap_or_default().to_owned();
        let (detail, code) = (text("detail"), text("error_code"));
        match self {
            Self::Index2 => {
                common["success"] = json!(false);
                // Its clients print the message, and know of no detail.
                common["message"] = json!(detail);
            }
            Self::Workflow => {
                common["status"] = json!("error");
                common["error"] = json!(detail);
                if code == "INVALID_PARAMETER" {
                    common["error_code"] = json!("INVALID_INPUT");
                }
            }
            Self::Openai => {
                let kind = match status {
                    401 => "authentication_error",
                    429 => "rate_limit_error",
                    400..=499 => "invalid_request_error",
                    _ => "server_error",
                };
                let code = code.to_ascii_lowercase();
                return json!({
                    "error": {"message": detail, "type": kind, "param": null, "code": code}
                });
            }
            Self::Common | Self::Light | Self::Index | Self::Tasks | Self::Realtime => {}
        }
        common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_one_interface() {
        for (path, dialect) in [
            ("/inference_zero_shot", Dialect::Light),
            ("/synthesize", Dialect::Index),
            ("/download_reference_audio/0", Dialect::Index),
            ("/api/v1/tts/sync", Dialect::Index2),
            ("/api/v1/monitoring/statistics", Dialect::Workflow),
            ("/v1/workflows/status/x", Dialect::Workflow),
            ("/api/tts/tasks/x", Dialect::Tasks),
            ("/v1/audio/speech", Dialect::Openai),
            ("/v1/realtime/speech", Dialect::Realtime),
            ("/v1/workflowsx", Dialect::Common),
            ("/metrics", Dialect::Common),
        ] {
            assert_eq!(Dialect::of(path), dialect, "{path}");
        }
    }

    #[test]
    fn sets_of_interfaces() {
        let one = Dialects::of(&[Dialect::Tasks]);
        assert_eq!((one.only(), Dialects::ALL.only()), (Some(Dialect::Tasks), None));
        assert!(one.contains(Dialect::Tasks) && !one.contains(Dialect::Light));
        assert_eq!(Dialects::by_names(&["tasks".into()]), Ok(one));
        assert_eq!(Dialects::ALL.iter().count(), 7);
        let error = Dialects::by_names(&["task".into()]).expect_err("a mistake");
        assert!(error.contains("`task`") && error.contains("tasks"), "{error}");
    }

    #[test]
    fn errors_have_what_each_interface_documents() {
        let common = || json!({"message": "m", "detail": "d", "error_code": "NOT_FOUND"});
        assert_eq!(Dialect::Light.error(404, common()), common());
        let index2 = Dialect::Index2.error(404, common());
        assert_eq!((&index2["success"], &index2["message"]), (&json!(false), &json!("d")));
        let workflow = Dialect::Workflow.error(404, common());
        assert_eq!((&workflow["status"], &workflow["error"]), (&json!("error"), &json!("d")));
        let common_400 = json!({"message": "m", "detail": "d", "error_code": "INVALID_PARAMETER"});
        let code = Dialect::Workflow.error(400, common_400)["error_code"].clone();
        assert_eq!(code, json!("INVALID_INPUT"));
        let openai = Dialect::Openai.error(404, common());
        assert_eq!(openai["error"]["type"], json!("invalid_request_error"));
        assert_eq!(openai["error"]["code"], json!("not_found"));
    }
}

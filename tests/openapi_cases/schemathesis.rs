//! Schemathesis, which sends what the description allows and what it does not, and compares the
//! answers with it. `tests/openapi/schemathesis.sh` installs it and runs this.

use crate::support::{DIALECTS, Server};
use std::process::Command;

/// Characters of a text. The silent engine speaks fifty a second.
const SHORT: usize = 20;

#[tokio::test]
#[ignore = "takes minutes and needs schemathesis: run tests/openapi/schemathesis.sh"]
async fn schemathesis_finds_nothing() {
    let server = Server::serving(&[&DIALECTS], |config| {
        config.limits.max_text_length = SHORT;
        config.workflow.wait = 1.0;
        config.jobs.workers = 8;
    })
    .await;
    let program = std::env::var_os("SCHEMATHESIS").expect("SCHEMATHESIS names the program");
    let more = std::env::var("SCHEMATHESIS_ARGS").unwrap_or_default();
    let url = format!("http://{}/openapi.json", server.addresses[0]);
    let mut run = Command::new(program);
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/schemathesis.toml");
    run.args(["--config-file", config, "run", &url])
        .args(more.split_whitespace())
        // It leaves notes where it runs.
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    let status = tokio::task::spawn_blocking(move || run.status()).await.expect("no panic");
    assert!(status.expect("schemathesis starts").success());
}

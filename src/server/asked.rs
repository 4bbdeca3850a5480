//! What all requests that are answered with speech go through.

use super::account::Account;
use super::app::App;
use super::client::Peer;
use super::error::ApiError;
use super::request::RequestId;
use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use std::sync::Arc;
use tracing::Instrument;

/// A request, its id, and who sent it: what handlers take.
pub type Asked = (Extension<RequestId>, Extension<Peer>, Request);

/// Opens an account for a request, charges its client, reads it and answers it, all of it in the
/// account's span. `answer` gets the account; until then, errors are noted in it here.
///
/// # Errors
/// [`ApiError::RateLimited`], and those of `read` and `answer`.
pub async fn answer<T, R, A>(
    app: &Arc<App>,
    path: &'static str,
    (Extension(id), Extension(peer), request): Asked,
    read: impl FnOnce(Request) -> R,
    answer: impl FnOnce(T, Account) -> A,
) -> Result<Response, ApiError>
where
    R: Future<Output = Result<T, ApiError>>,
    A: Future<Output = Result<Response, ApiError>>,
{
    let mut account = Account::open(app, id, path);
    account.note(app.charge(peer, request.headers()))?;
    let span = account.span.clone();
    async {
        let wanted = account.note(read(request).await)?;
        answer(wanted, account).await
    }
    .instrument(span)
    .await
}

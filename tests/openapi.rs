//! The description of the interfaces at `/openapi.json`: valid, complete and true, for every
//! selection of dialects that a listener may serve.

#[path = "openapi_cases/support.rs"]
mod support;

#[path = "openapi_cases/routes.rs"]
mod routes;
#[path = "openapi_cases/schemathesis.rs"]
mod schemathesis;
#[path = "openapi_cases/valid.rs"]
mod valid;

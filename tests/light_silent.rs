//! The `light` dialect over real sockets, with an engine that emits silence on a clock.

#[path = "light_silent_cases/support.rs"]
mod support;

#[path = "light_silent_cases/bistream.rs"]
mod bistream;
#[path = "light_silent_cases/drain.rs"]
mod drain;
#[path = "light_silent_cases/limits.rs"]
mod limits;
#[path = "light_silent_cases/normalize.rs"]
mod normalize;
#[path = "light_silent_cases/order.rs"]
mod order;
#[path = "light_silent_cases/system.rs"]
mod system;
#[path = "light_silent_cases/zero_shot.rs"]
mod zero_shot;

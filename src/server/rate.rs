//! How many requests one client address may make.

use super::error::ApiError;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Addresses that are remembered. Past it, until the next [`Limiter::forget`], all share one
/// allowance, so that a flood of addresses costs no more memory.
const MAX_CLIENTS: usize = 65_536;

/// Reads `"10/minute"`, `"100/hour"`, `"5/second"`, or `"off"`, which is `None`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Option<Quota>, String> {
    let text = text.trim().to_ascii_lowercase();
    if text == "off" {
        return Ok(None);
    }
    let expected = "must be `off` or a number per second, minute, hour or day, as in `10/minute`";
    let (count, unit) = text.split_once('/').ok_or(expected)?;
    let count: NonZeroU32 = count.trim().parse().map_err(|_| expected)?;
    let unit = unit.trim();
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(expected.into()),
    };
    let quota = Quota::with_period(Duration::from_secs(seconds) / count.get())
        .ok_or("is more often than can be counted")?;
    Ok(Some(quota.allow_burst(count)))
}

/// Allowances by client address.
pub struct Limiter {
    /// None where requests are not limited.
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clock: DefaultClock,
    loopback: bool,
}

impl Limiter {
    /// `loopback` says whether clients on this machine are limited too.
    pub fn new(quota: Option<Quota>, loopback: bool) -> Self {
        Self { limiter: quota.map(RateLimiter::keyed), clock: DefaultClock::default(), loopback }
    }

    /// Takes one request from the client's allowance.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when it is used up.
    pub fn check(&self, client: IpAddr) -> Result<(), ApiError> {
        let client = client.to_canonical();
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if client.is_loopback() && !self.loopback {
            return Ok(());
        }
        let full = limiter.len() >= MAX_CLIENTS;
        let key = if full { Ipv6Addr::UNSPECIFIED.into() } else { network(client) };
        limiter.check_key(&key).map_err(|refusal| ApiError::RateLimited {
            retry_after: refusal.wait_time_from(self.clock.now()),
        })
    }

    /// Drops the addresses whose allowance is whole again. To be called now and then.
    pub fn forget(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// What one subscriber holds: an IPv4 address, or a /64 of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: &str, loopback: bool) -> Limiter {
        Limiter::new(parse(rate).expect("a rate"), loopback)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn rates_as_written() {
        for (text, burst, each) in [
            ("10/minute", 10, 6.0),
            ("100/hour", 100, 36.0),
            ("5/second", 5, 0.2),
            (" 2 / Days ", 2, 43_200.0),
        ] {
            let quota = parse(text).expect("a rate").expect("a limit");
            assert_eq!(quota.burst_size().get(), burst, "{text}");
            assert!((quota.replenish_interval().as_secs_f64() - each).abs() < 1e-6, "{text}");
        }
        assert_eq!(parse("OFF"), Ok(None));
    }

    #[test]
    fn what_is_no_rate() {
        for text in ["", "10", "0/minute", "-1/minute", "1.5/hour", "10/fortnight", "/minute"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_address_has_its_own_allowance() {
        let limiter = limiter("2/hour", false);
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(limiter.check(ip(address)), Ok(()));
            assert_eq!(limiter.check(ip(address)), Ok(()));
            let Err(ApiError::RateLimited { retry_after }) = limiter.check(ip(address)) else {
                panic!("the third passed")
            };
            assert!(retry_after > Duration::from_secs(1790), "{retry_after:?}");
        }
    }

    /// A household has 2^64 IPv6 addresses, and any address two spellings.
    #[test]
    fn one_client_under_several_addresses() {
        let limiter = limiter("1/hour", true);
        assert!(limiter.check(ip("2001:db8::1")).is_ok());
        assert!(limiter.check(ip("2001:db8::2")).is_err());
        assert!(limiter.check(ip("2001:db8:0:1::1")).is_ok());
        assert!(limiter.check(ip("::ffff:192.0.2.1")).is_ok());
        assert!(limiter.check(ip("192.0.2.1")).is_err());
    }

    #[test]
    fn this_machine_is_exempt_unless_told() {
        for (loopback, passes) in [(false, true), (true, false)] {
            let limiter = limiter("1/hour", loopback);
            for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                let _ = limiter.check(ip(address));
                assert_eq!(limiter.check(ip(address)).is_ok(), passes, "{address}");
            }
        }
    }

    #[test]
    fn addresses_are_forgotten() {
        let limiter = limiter("1000/second", false);
        for last in 0..=255 {
            assert!(limiter.check(IpAddr::from([192, 0, 2, last])).is_ok());
        }
        let known = || limiter.limiter.as_ref().map(|l| l.len());
        assert_eq!(known(), Some(256));
        std::thread::sleep(Duration::from_millis(20));
        limiter.forget();
        assert_eq!(known(), Some(0));
    }
}

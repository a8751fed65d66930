//! The settings that a transport can run with. All others are refused, by name, before a node starts.

use super::{Config, Limits, Times};

/// A setting that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// Below the least or above the most that works.
    #[error("{setting} is {value}; choose {least} to {most}")]
    OutOfRange {
        /// Name of the setting, such as `times.call_full_ms`.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The smallest value that works.
        least: u64,
        /// The largest value that works.
        most: u64,
    },
    /// Two settings, or the two ends of a range, are in the wrong order.
    #[error("{smaller} is {first}, more than the {second} of {larger}; choose at most that")]
    Crossed {
        /// Name of the setting that must not be larger.
        smaller: &'static str,
        /// Value of `smaller`.
        first: u64,
        /// Name of the setting that must not be smaller.
        larger: &'static str,
        /// Value of `larger`.
        second: u64,
    },
}

type Checked = Result<(), BadSetting>;

/// A month: longer than anything in a network lives, yet far from an overflow of the clock.
const LONGEST_MS: u64 = 31 * 86_400_000;
/// The most entries of anything that one node has memory for.
const MANY: u64 = 1 << 20;
/// Per second; more than one core can do.
const FAST: u64 = 10_000_000;

fn within(setting: &'static str, value: u64, least: u64, most: u64) -> Checked {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(BadSetting::OutOfRange {
        setting,
        value,
        least,
        most,
    })
}

fn count(setting: &'static str, value: usize, least: u64, most: u64) -> Checked {
    within(
        setting,
        u64::try_from(value).unwrap_or(u64::MAX),
        least,
        most,
    )
}

/// Caps of tables, each with the least that works.
fn tables(caps: &[(&'static str, usize, u64)]) -> Checked {
    let mut caps = caps.iter();
    caps.try_for_each(|&(setting, value, least)| count(setting, value, least, MANY))
}

/// A rate per second with a burst. Zero refuses everything, which may be intended.
fn rate(setting: &'static str, (per_second, burst): (u32, u32)) -> Checked {
    within(setting, per_second.into(), 0, FAST)?;
    within(setting, burst.into(), 0, FAST)
}

/// A rate of one per so many milliseconds, with a burst.
fn slow(setting: &'static str, (every_ms, burst): (u64, u32)) -> Checked {
    within(setting, every_ms, 1, LONGEST_MS)?;
    within(setting, burst.into(), 0, FAST)
}

fn ordered(smaller: (&'static str, u64), larger: (&'static str, u64)) -> Checked {
    if smaller.1 <= larger.1 {
        return Ok(());
    }
    Err(BadSetting::Crossed {
        smaller: smaller.0,
        first: smaller.1,
        larger: larger.0,
        second: larger.1,
    })
}

/// The two ends of a range.
fn range(setting: &'static str, ends: (u64, u64), least: u64) -> Checked {
    within(setting, ends.0, least, LONGEST_MS)?;
    within(setting, ends.1, least, LONGEST_MS)?;
    ordered((setting, ends.0), (setting, ends.1))
}

impl Config {
    /// Checks that a transport can run with these settings.
    ///
    /// # Errors
    /// The first setting that is out of its range or contradicts another one.
    pub fn check(&self) -> Result<(), BadSetting> {
        let limits = &self.limits;
        let most = u64::try_from(limits.own_tunnels).unwrap_or(u64::MAX);
        count("lookup_tunnels", self.lookup_tunnels, 1, most)?;
        count("persona_tunnels", self.persona_tunnels, 0, most)?;
        let wanted = self.lookup_tunnels.saturating_add(self.persona_tunnels);
        count("lookup_tunnels + persona_tunnels", wanted, 1, most)?;
        let tunnels = u64::try_from(self.lookup_tunnels).unwrap_or(u64::MAX);
        count("ready_at", self.ready_at, 1, tunnels)?;
        limits.check_counts()?;
        limits.check_rates()?;
        self.times.check()
    }
}

impl Limits {
    fn check_counts(&self) -> Checked {
        // Destructured, so that a new setting cannot be forgotten; the rates are checked elsewhere.
        let &Self {
            own_tunnels,
            tunnels_per_relay,
            builds_at_once,
            links,
            handshakes,
            transit_tunnels,
            endpoint_tunnels,
            tunnels_per_neighbour,
            walks_per_neighbour: _,
            relays,
            relays_remembered,
            unverified,
            control_in_flight,
            calls,
            requests_remembered,
            jobs,
            exchanges: _,
            keys_in_store,
            messages_per_tunnel: _,
            messages_per_destination: _,
            messages_in_all: _,
            hellos,
            hellos_per_tunnel: _,
            hellos_per_host: _,
            hellos_in_all: _,
            silent,
            consenting,
            echoes_per_tunnel: _,
            who_are_you: _,
            who_are_you_per_source: _,
            handshakes_answered: _,
            handshakes_per_source: _,
            groups,
        } = self;
        count("limits.own_tunnels", own_tunnels, 1, 4_096)?;
        count("limits.tunnels_per_relay", tunnels_per_relay, 1, 4_096)?;
        count("limits.builds_at_once", builds_at_once, 1, 256)?;
        count("limits.jobs", jobs, 1, 65_536)?;
        count("limits.keys_in_store", keys_in_store, 0, 256)?;
        tables(&[
            ("limits.links", links, 1),
            ("limits.handshakes", handshakes, 1),
            ("limits.transit_tunnels", transit_tunnels, 0),
            ("limits.endpoint_tunnels", endpoint_tunnels, 0),
            ("limits.tunnels_per_neighbour", tunnels_per_neighbour, 0),
            ("limits.relays", relays, 1),
            ("limits.relays_remembered", relays_remembered, 0),
            ("limits.unverified", unverified, 1),
            ("limits.control_in_flight", control_in_flight, 1),
            ("limits.calls", calls, 1),
            ("limits.requests_remembered", requests_remembered, 1),
            ("limits.hellos", hellos, 0),
            ("limits.silent", silent, 0),
            ("limits.consenting", consenting, 0),
            ("limits.groups", groups, 1),
        ])
    }

    fn check_rates(&self) -> Checked {
        rate("limits.walks_per_neighbour", self.walks_per_neighbour)?;
        rate("limits.exchanges", self.exchanges)?;
        rate("limits.messages_per_tunnel", self.messages_per_tunnel)?;
        rate(
            "limits.messages_per_destination",
            self.messages_per_destination,
        )?;
        rate("limits.messages_in_all", self.messages_in_all)?;
        rate("limits.hellos_in_all", self.hellos_in_all)?;
        slow("limits.hellos_per_tunnel", self.hellos_per_tunnel)?;
        slow("limits.hellos_per_host", self.hellos_per_host)?;
        rate("limits.echoes_per_tunnel", self.echoes_per_tunnel)?;
        rate("limits.who_are_you", self.who_are_you)?;
        rate("limits.who_are_you_per_source", self.who_are_you_per_source)?;
        rate("limits.handshakes_answered", self.handshakes_answered)?;
        rate("limits.handshakes_per_source", self.handshakes_per_source)
    }
}

impl Times {
    fn check(&self) -> Checked {
        self.check_lives()?;
        self.check_repeats()?;
        self.check_ranges()
    }

    fn check_lives(&self) -> Checked {
        // Destructured, so that a new setting cannot be forgotten; the others are checked elsewhere.
        let &Self {
            tunnel_life_ms,
            tunnel_end_ms,
            tunnel_idle_ms,
            overlap_ms,
            reply_margin_ms,
            build_timeout_ms: _,
            build_backoff_ms: _,
            echo_after_ms: _,
            echo_timeout_ms: _,
            control_repeat_ms: _,
            handshake_repeat_ms: _,
            walk_delay_ms,
            link_idle_ms,
            rekey_ms: _,
            gossip_ms: _,
            bootstrap_ms: _,
            call_short_ms: _,
            call_short_range_ms: _,
            call_full_ms: _,
            reply_silence_ms: _,
            answer_kept_ms,
            keep_alive_ms: _,
            reaction_ms,
            shunned_ms,
            hello_repeat_ms: _,
            hello_timeout_ms: _,
            silence_ms,
            consent_ms,
            newcomer_ms,
            request_repeat_ms: _,
        } = self;
        let pause = |setting, value, least| within(setting, value, least, LONGEST_MS);
        pause("times.tunnel_life_ms", tunnel_life_ms, 1_000)?;
        pause("times.tunnel_end_ms", tunnel_end_ms, 1_000)?;
        pause("times.tunnel_idle_ms", tunnel_idle_ms, 1_000)?;
        pause("times.link_idle_ms", link_idle_ms, 1_000)?;
        pause("times.newcomer_ms", newcomer_ms, 1)?;
        for (setting, value) in [
            ("times.overlap_ms", overlap_ms),
            ("times.reply_margin_ms", reply_margin_ms),
            ("times.answer_kept_ms", answer_kept_ms),
            ("times.shunned_ms", shunned_ms),
            ("times.silence_ms", silence_ms),
            ("times.consent_ms", consent_ms),
        ] {
            pause(setting, value, 0)?;
        }
        within("times.walk_delay_ms", walk_delay_ms, 0, 60_000)?;
        within("times.reaction_ms", reaction_ms, 0, 60_000)
    }

    /// Repeated sends must leave time for something else.
    fn check_repeats(&self) -> Checked {
        let repeat = |setting, value, least| within(setting, value, least, LONGEST_MS);
        repeat("times.echo_after_ms", self.echo_after_ms, 100)?;
        repeat("times.echo_timeout_ms", self.echo_timeout_ms, 100)?;
        repeat("times.control_repeat_ms", self.control_repeat_ms, 10)?;
        repeat("times.handshake_repeat_ms", self.handshake_repeat_ms, 10)?;
        repeat("times.gossip_ms", self.gossip_ms, 100)?;
        repeat("times.call_short_ms", self.call_short_ms, 10)?;
        repeat("times.call_full_ms", self.call_full_ms, 100)?;
        repeat("times.hello_repeat_ms", self.hello_repeat_ms, 10)?;
        repeat("times.hello_timeout_ms", self.hello_timeout_ms, 10)?;
        repeat("times.reply_silence_ms", self.reply_silence_ms, 10)?;
        repeat("times.build_timeout_ms", self.build_timeout_ms, 100)
    }

    fn check_ranges(&self) -> Checked {
        range("times.build_backoff_ms", self.build_backoff_ms, 10)?;
        range("times.rekey_ms", self.rekey_ms, 1_000)?;
        range("times.bootstrap_ms", self.bootstrap_ms, 100)?;
        range("times.call_short_range_ms", self.call_short_range_ms, 10)?;
        range("times.request_repeat_ms", self.request_repeat_ms, 10)?;
        // The period and its random spread.
        let (period, off) = self.keep_alive_ms;
        within("times.keep_alive_ms", period, 100, LONGEST_MS)?;
        ordered(
            ("the second times.keep_alive_ms", off),
            ("half of the first", period / 2),
        )?;
        let planned = ("times.tunnel_life_ms", self.tunnel_life_ms);
        ordered(planned, ("times.tunnel_end_ms", self.tunnel_end_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Role,
        policy::{Policy, Profile},
    };

    fn config() -> Config {
        let policy = Policy::new("n", Profile::Test).expect("a name");
        Config::new(policy, Role::Client)
    }

    /// Each setting is made wrong once, with the message that it must give.
    #[test]
    fn what_cannot_work_is_named_with_what_can() {
        type Change = fn(&mut Config);
        let wrong: [(Change, &str); 9] = [
            (
                |c| c.times.call_short_range_ms = (2_500, 400),
                "times.call_short_range_ms is 2500, more than the 400",
            ),
            (
                |c| c.times.tunnel_life_ms = u64::MAX,
                "times.tunnel_life_ms is 18446744073709551615; choose 1000 to",
            ),
            (
                |c| c.times.control_repeat_ms = 0,
                "times.control_repeat_ms is 0; choose 10 to",
            ),
            (
                |c| c.limits.own_tunnels = usize::MAX,
                "limits.own_tunnels is 18446744073709551615; choose 1 to 4096",
            ),
            (
                |c| c.lookup_tunnels = usize::MAX,
                "lookup_tunnels is 18446744073709551615; choose 1 to 600",
            ),
            (|c| c.ready_at = 0, "ready_at is 0; choose 1 to 28"),
            (
                |c| c.limits.messages_in_all = (u32::MAX, 1),
                "limits.messages_in_all is 4294967295",
            ),
            (
                |c| c.times.keep_alive_ms = (15_000, 14_000),
                "the second times.keep_alive_ms is 14000, more than the 7500",
            ),
            (
                |c| c.times.tunnel_end_ms = 5_000,
                "times.tunnel_life_ms is 600000, more than the 5000 of times.tunnel_end_ms",
            ),
        ];
        for (change, part) in wrong {
            let mut config = config();
            config.check().expect("control: the defaults");
            change(&mut config);
            let said = config.check().expect_err(part).to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}

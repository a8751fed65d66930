//! What machines say, done and checked.

use std::net::SocketAddr;

use deut_common::time::Mono;
use deut_transport::{
    ids::{Port, PortToken},
    io::PortError,
    packet::{MESSAGE_DATAGRAM, Packet, RELAY_DATAGRAM},
    rsa::JobResult,
};

use super::{DELAY_US, Flight, HELLO, MOST_AT_ONCE, PAST, Work, World};
use crate::kit::{
    machine::{Machine, News, Todo},
    net::Net,
    ports::takes,
    watch::watched,
};

impl<M: Machine> World<M> {
    pub(super) fn transmit(&mut self, number: usize, from: Port, to: SocketAddr, packet: &Packet) {
        let seat = &self.seats[number];
        assert!(!seat.silent, "it was shut down and sends to {to}");
        let bytes = packet.bytes().to_vec();
        if from == Port::Relay {
            assert_eq!(bytes.len(), RELAY_DATAGRAM);
        } else {
            assert!(matches!(bytes.len(), MESSAGE_DATAGRAM | HELLO));
            assert!(Net::policy().may_send_to(to), "{to}");
        }
        let flight = Flight {
            at: self.after(DELAY_US),
            from: SocketAddr::new(seat.address.ip(), seat.ports.number(from)),
            to,
            bytes,
        };
        if self.past.len() >= PAST {
            self.past.pop_front();
        }
        self.past.push_back(flight.clone());
        self.flights.push(flight);
    }

    /// Does all that the machine says; bytes sent to `reply_to`.
    pub(super) fn drain(&mut self, number: usize, reply_to: Option<SocketAddr>) -> usize {
        let mut sent = 0;
        for _ in 0..MOST_AT_ONCE {
            let now = self.now();
            let seat = &mut self.seats[number];
            let machine = &mut seat.machine;
            match watched(|| machine.poll(now)) {
                Todo::Transmit(from, to, packet) => {
                    if reply_to == Some(to) {
                        sent += packet.bytes().len();
                    }
                    self.transmit(number, from, to, &packet);
                }
                Todo::Open(token, port) => self.open(number, token, port),
                Todo::Close(token) => seat.ports.close(token),
                Todo::Job(ticket, _) if self.refuse_jobs => {
                    seat.machine
                        .news(now, News::Job(ticket, JobResult::Refused));
                }
                Todo::Job(ticket, work) => {
                    let at = self.after(takes(&work));
                    self.jobs.push(Work {
                        at,
                        seat: number,
                        ticket,
                        work,
                    });
                }
                Todo::Event(event) => seat.events.push((self.now, event)),
                Todo::Persist => {}
                Todo::Wait(until) => {
                    let due = until.map(|Mono(at)| at.max(self.now));
                    if due.is_none_or(|due| due > self.now) {
                        seat.spins = 0;
                    }
                    seat.due = due;
                    return sent;
                }
            }
        }
        panic!("more than {MOST_AT_ONCE} outputs for one input");
    }

    fn open(&mut self, number: usize, token: PortToken, port: u16) {
        let result = if std::mem::take(&mut self.refuse_port) {
            Err(PortError::InUse)
        } else {
            Ok(())
        };
        let now = self.now();
        let seat = &mut self.seats[number];
        if result.is_ok() {
            seat.ports.open(token, port);
        }
        seat.machine.news(now, News::Port(token, result));
    }
}

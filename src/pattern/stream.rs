// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! STREAM: bytes of plain TCP connections, each message a routing id and a piece of data
//! (zmq_socket(3)).
//!
//! Pipes carry pieces of data both ways. An empty one says on the way in that the connection was
//! made or lost, and asks on the way out to close it.

use super::fair_queue::FairQueue;
use super::routing::RoutingTable;
use super::{Pattern, discard, int_value};
use crate::abi::{ZMQ_ROUTING_ID, ZMQ_STREAM_NOTIFY};
use crate::errno::{Error, Result};
use crate::pipe::{Body, PipeId, Pipes, Sink};

#[derive(Default)]
pub struct Stream {
    incoming: FairQueue,
    table: RoutingTable,
    /// The id part was sent: what follows goes to `target`, or nowhere.
    inside: bool,
    target: Option<PipeId>,
    /// The id made up last.
    last_routing_id: Vec<u8>,
}

impl Pattern for Stream {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId, _subscribe_to_all: bool) {
        let Some(pipe) = pipes.get_mut(id) else { return };
        let routing_id = std::mem::take(&mut pipe.routing_id);
        if routing_id.is_empty() || self.table.contains(&routing_id) {
            self.table.enter_unnamed(pipes, id);
            self.last_routing_id =
                pipes.get(id).map(|pipe| pipe.routing_id.clone()).unwrap_or_default();
        } else {
            self.table.enter(pipes, id, &routing_id);
        }
        self.incoming.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.table.leave(pipes, id);
        self.incoming.detach(pipes, id);
        if self.target == Some(id) {
            self.target = None;
        }
    }

    fn read_activated(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.incoming.activated(pipes, id);
    }

    fn knows_routing_id(&self, routing_id: &[u8]) -> bool {
        self.table.contains(routing_id)
    }

    fn last_routing_id(&self) -> &[u8] {
        &self.last_routing_id
    }

    fn send(&mut self, pipes: &mut Pipes, body: &mut Body<'_>, more: bool) -> Result<()> {
        if !self.inside {
            // After an id without MORE the data goes nowhere.
            if more {
                self.target = Some(self.find_target(pipes, body.bytes())?);
            }
            self.inside = true;
            discard(body);
            return Ok(());
        }
        match self.target.and_then(|id| pipes.get_mut(id)) {
            Some(_) if body.is_empty() => pipes.closing.extend(self.target),
            Some(pipe) => {
                pipe.write(body, false)?;
                pipe.flush();
            }
            None => discard(body),
        }
        self.inside = false;
        self.target = None;
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, sink: &mut Sink<'_>) -> Result<()> {
        if self.incoming.inside() {
            return self.incoming.receive(pipes, sink).map(drop);
        }
        let id = self.incoming.ready(pipes).ok_or(Error::AGAIN)?;
        let pipe = pipes.get(id).ok_or(Error::AGAIN)?;
        sink.put_bytes(&pipe.routing_id, true, pipe.metadata())?;
        self.incoming.begin();
        Ok(())
    }

    fn can_receive(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.can_receive(pipes)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn set_option(&mut self, _pipes: &mut Pipes, option: i32, value: &[u8]) -> Result<()> {
        // The notifications themselves are made by the connections.
        match (option, int_value(value)) {
            (ZMQ_STREAM_NOTIFY, Ok(0 | 1)) => Ok(()),
            // The general options keep it; it is told until there is another peer.
            (ZMQ_ROUTING_ID, _) if (1..=255).contains(&value.len()) => {
                self.last_routing_id.clear();
                Err(Error::INVAL)
            }
            _ => Err(Error::INVAL),
        }
    }
}

impl Stream {
    fn find_target(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Result<PipeId> {
        let id = self.table.find(pipes, routing_id).ok_or(Error::HOSTUNREACH)?;
        match pipes.get_mut(id) {
            Some(pipe) if pipe.write_ended() => Err(Error::HOSTUNREACH),
            Some(pipe) => pipe.check_write().then_some(id).ok_or(Error::AGAIN),
            None => Err(Error::HOSTUNREACH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Connecting};
    use crate::abi::*;
    use crate::errno::Error;

    fn connect(bench: &mut Bench, routing_id: &str) -> usize {
        bench.connect_as(Connecting { routing_id: routing_id.as_bytes(), ..Connecting::default() })
    }

    #[test]
    fn id_and_data() {
        let mut bench = Bench::new(ZMQ_STREAM);
        let [a, b] = ["A", "B"].map(|name| connect(&mut bench, name));
        bench.put(a, &[""]);
        bench.put(b, &["data"]);
        bench.put(a, &["more data"]);
        for expected in [["A", ""], ["B", "data"], ["A", "more data"]] {
            assert!(bench.can_receive());
            assert_eq!(bench.receive().unwrap(), expected);
        }
        assert_eq!(bench.receive(), Err(Error::AGAIN));
        bench.send(&["B", "x"]).unwrap();
        // MORE on data means nothing.
        bench.send_part("A", true).unwrap();
        bench.send_part("y", true).unwrap();
        bench.send(&["A", "z"]).unwrap();
        assert_eq!(bench.take(a), [["y"], ["z"]]);
        assert_eq!(bench.take(b), [["x"]]);
    }

    #[test]
    fn made_up_ids() {
        let mut bench = Bench::new(ZMQ_STREAM);
        let [one, other] = [bench.connect(), bench.connect()];
        let id = bench.routing_id(one);
        assert_eq!((id.len(), id[0]), (5, 0));
        assert_ne!(bench.routing_id(other), id);
        connect(&mut bench, "named");
        assert_eq!(bench.pattern.last_routing_id(), bench.routing_id(other));
        assert!(bench.pattern.knows_routing_id(&id));
        bench.put(one, &["data"]);
        assert_eq!(bench.receive_bytes().unwrap(), (id.clone(), true));
        assert_eq!(bench.receive_part().unwrap(), ("data".into(), false));
        bench.detach(one);
        assert!(!bench.pattern.knows_routing_id(&id));
    }

    #[test]
    fn nowhere_to_send() {
        let mut bench = Bench::with_limits(ZMQ_STREAM, (1, 1));
        assert!(bench.can_send());
        assert_eq!(bench.send(&["A", "x"]), Err(Error::HOSTUNREACH));
        let a = connect(&mut bench, "A");
        bench.send(&["A", "1"]).unwrap();
        assert_eq!(bench.send(&["A", "x"]), Err(Error::AGAIN));
        assert_eq!(bench.take(a), [["1"]]);
        // After an id without MORE the data goes nowhere.
        bench.send(&["A"]).unwrap();
        bench.send(&["lost"]).unwrap();
        bench.send(&["A", "2"]).unwrap();
        assert_eq!(bench.take(a), [["2"]]);
        bench.send_part("A", true).unwrap();
        bench.detach(a);
        bench.send_part("lost", false).unwrap();
        let b = connect(&mut bench, "B");
        bench.kill(b);
        assert_eq!(bench.send(&["B", "x"]), Err(Error::HOSTUNREACH));
    }

    #[test]
    fn empty_data_closes() {
        let mut bench = Bench::new(ZMQ_STREAM);
        let [a, b] = ["A", "B"].map(|name| connect(&mut bench, name));
        bench.send(&["A", ""]).unwrap();
        assert!(bench.closed(a) && !bench.closed(b));
        assert_eq!(bench.send(&["A", "x"]), Err(Error::HOSTUNREACH));
    }

    #[test]
    fn a_taken_id_is_not_given_twice() {
        let mut bench = Bench::new(ZMQ_STREAM);
        let [one, other] = ["A", "A"].map(|name| connect(&mut bench, name));
        assert_eq!(bench.routing_id(one), b"A");
        assert_eq!(bench.routing_id(other).len(), 5);
    }

    #[test]
    fn options() {
        let mut bench = Bench::new(ZMQ_STREAM);
        for (value, expected) in [(0, Ok(())), (1, Ok(())), (2, Err(Error::INVAL))] {
            assert_eq!(bench.set_int(ZMQ_STREAM_NOTIFY, value), expected);
        }
        assert_eq!(bench.set_int(ZMQ_ROUTER_MANDATORY, 1), Err(Error::INVAL));
    }
}

//! The administrator's requests that no client library here has, in Kafka's wire format: ACLs, quotas, settings of topics.
//!
//! Versions without tagged fields, as Kafka's protocol guide describes them.

use std::io::{Read, Write};
use std::net::TcpStream;

const CREATE_ACLS: (i16, i16) = (30, 1);
const DELETE_ACLS: (i16, i16) = (31, 1);
const INCREMENTAL_ALTER_CONFIGS: (i16, i16) = (44, 0);
const ALTER_CLIENT_QUOTAS: (i16, i16) = (49, 0);

const TOPIC: u8 = 2;
const LITERAL: u8 = 3;
const WRITE: u8 = 4;
const DENY: u8 = 2;
const ALLOW: u8 = 3;

/// Something that an ACL may allow, as Kafka numbers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    /// `Topic` is 2, `Group` 3, `TransactionalId` 5.
    pub(crate) resource: u8,
    pub(crate) name: String,
    /// `Literal` is 3, `Prefixed` 4.
    pub(crate) pattern: u8,
    /// `Read` is 3, `Write` 4, `Describe` 8, `DescribeConfigs` 10.
    pub(crate) operation: u8,
}

/// A connection to a broker.
pub(crate) struct Requests(TcpStream);

impl Requests {
    pub(crate) fn to(address: &str) -> Requests {
        Requests(TcpStream::connect(address).expect("the broker listens"))
    }

    /// Forbids a user to write to a topic.
    pub(crate) fn deny_write(&mut self, user: &str, topic: &str) {
        let body = Body::default().int(1).byte(TOPIC).text(topic).byte(LITERAL);
        self.ask(
            CREATE_ACLS,
            body.text(&format!("User:{user}"))
                .text("*")
                .byte(WRITE)
                .byte(DENY),
        );
    }

    /// Undoes [`Requests::deny_write`].
    pub(crate) fn allow_write(&mut self, user: &str, topic: &str) {
        let body = Body::default().int(1).byte(TOPIC).text(topic).byte(LITERAL);
        self.ask(
            DELETE_ACLS,
            body.text(&format!("User:{user}"))
                .text("*")
                .byte(WRITE)
                .byte(DENY),
        );
    }

    /// Allows a user something.
    pub(crate) fn allow(&mut self, user: &str, right: &Right) {
        self.ask(CREATE_ACLS, Requests::acl(user, right));
    }

    /// Undoes [`Requests::allow`].
    pub(crate) fn forget(&mut self, user: &str, right: &Right) {
        self.ask(DELETE_ACLS, Requests::acl(user, right));
    }

    fn acl(user: &str, right: &Right) -> Body {
        let body = Body::default()
            .int(1)
            .byte(right.resource)
            .text(&right.name)
            .byte(right.pattern);
        body.text(&format!("User:{user}"))
            .text("*")
            .byte(right.operation)
            .byte(ALLOW)
    }

    /// Limits what a user may produce to each broker, or no longer.
    pub(crate) fn limit_production(&mut self, user: &str, bytes_per_second: Option<f64>) {
        let body = Body::default()
            .int(1)
            .int(1)
            .text("user")
            .text(user)
            .int(1)
            .text("producer_byte_rate");
        let body = body
            .double(bytes_per_second.unwrap_or(0.0))
            .byte(u8::from(bytes_per_second.is_none()))
            .byte(0);
        self.ask(ALTER_CLIENT_QUOTAS, body);
    }

    /// Sets a setting of a topic.
    pub(crate) fn set_topic(&mut self, topic: &str, setting: &str, value: &str) {
        let body = Body::default()
            .int(1)
            .byte(TOPIC)
            .text(topic)
            .int(1)
            .text(setting)
            .byte(0)
            .text(value)
            .byte(0);
        self.ask(INCREMENTAL_ALTER_CONFIGS, body);
    }

    /// Sends a request and sees that its one result is no error: in each of these replies the throttle time comes first,
    /// then the number of results, and the first result begins with its error code.
    fn ask(&mut self, (key, version): (i16, i16), body: Body) {
        let mut frame = [key.to_be_bytes(), version.to_be_bytes(), [0; 2], [0; 2]].concat();
        frame.extend(Body::default().text("tests").0);
        frame.extend(body.0);
        let length = u32::try_from(frame.len()).expect("requests are short");
        self.0
            .write_all(&[&length.to_be_bytes(), frame.as_slice()].concat())
            .expect("the broker takes a request");
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("the broker answers");
        let mut reply =
            vec![0; usize::try_from(u32::from_be_bytes(length)).expect("replies are short")];
        self.0.read_exact(&mut reply).expect("the broker answers");
        let [_, _, _, _, _, _, _, _, results @ ..] = reply.as_slice() else {
            panic!("request {key}: no reply: {reply:?}")
        };
        assert_eq!(
            results.get(..6),
            Some(&[0, 0, 0, 1, 0, 0][..]),
            "request {key}: {}",
            String::from_utf8_lossy(results)
        );
    }
}

/// A request's body, written field by field.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn byte(mut self, byte: u8) -> Body {
        self.0.push(byte);
        self
    }

    fn int(mut self, number: i32) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn double(mut self, number: f64) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(mut self, text: &str) -> Body {
        self.0.extend(
            i16::try_from(text.len())
                .expect("texts are short")
                .to_be_bytes(),
        );
        self.0.extend(text.bytes());
        self
    }
}

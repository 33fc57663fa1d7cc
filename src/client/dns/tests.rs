//! Look-ups against servers of the test's own.

use super::*;

const NAME: &str = "_etcd-client._tcp.example.org";

/// An answer to `question` with these flags and records, each behind a pointer to the name asked for.
fn reply(question: &[u8], flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = question[..2].to_vec();
    out.extend(flags.to_be_bytes());
    for count in [1, u16::try_from(records.len()).unwrap(), 0, 0] {
        out.extend(count.to_be_bytes());
    }
    out.extend(&question[12..]);
    for (kind, data) in records {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(*data);
    }
    out
}

/// A record whose host is `label` and the domain asked for, which a pointer names: `_etcd-client` and
/// `_tcp` are left out of it.
fn record(priority: u8, port: u16, label: &str) -> Vec<u8> {
    let mut out = vec![0, priority, 0, 5];
    out.extend(port.to_be_bytes());
    out.push(u8::try_from(label.len()).unwrap());
    out.extend(label.as_bytes());
    out.extend([0xc0, 12 + 13 + 5]);
    out
}

fn services(question: &[u8], bytes: &[u8]) -> Result<Vec<String>, Fault> {
    match message::answer(question, bytes)? {
        Answer::Services(services) => {
            let text = |one: &Service| format!("{} {}:{}", one.priority, one.host, one.port);
            Ok(services.iter().map(text).collect())
        }
        Answer::TooLong => Ok(vec!["too long".to_owned()]),
    }
}

#[test]
fn answers_are_read_with_names_that_point_back() {
    let question = message::question(7, NAME).unwrap();
    let (one, two) = (record(2, 2379, "a"), record(1, 2380, "b"));
    let bytes = reply(&question, 0x8180, &[(5, b"\x01x\xc0\x0c"), (33, &one), (33, &two)]);
    let expected = ["2 a.example.org:2379", "1 b.example.org:2380"];
    assert_eq!(services(&question, &bytes).unwrap(), expected);
    for end in 0..bytes.len() {
        let cut = message::answer(&question, &bytes[..end]);
        assert!(matches!(cut, Err(Fault::Malformed | Fault::Stranger)), "{end}: {cut:?}");
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let question = message::question(7, NAME).unwrap();
    let none = [0, 1, 0, 5, 0, 80, 0];
    let endless = [0, 1, 0, 5, 0, 80, 0xc0, 12 + 31 + 4 + 12 + 6];
    for (flags, records, fault) in [
        (0x8183, &[][..], Fault::NoSuchHost),
        (0x8180, &[], Fault::NoSuchHost),
        (0x8180, &[(33, &none[..])], Fault::NoSuchHost),
        (0x8182, &[], Fault::Refused),
        (0x0180, &[], Fault::Stranger),
        (0x8180, &[(33, &endless[..])], Fault::Malformed),
    ] {
        let bytes = reply(&question, flags, records);
        assert_eq!(services(&question, &bytes).unwrap_err(), fault, "{flags:x} {records:?}");
    }
    assert_eq!(services(&question, &reply(&question, 0x8380, &[])).unwrap(), ["too long"]);
    let other = message::question(8, NAME).unwrap();
    let strange = services(&question, &reply(&other, 0x8180, &[]));
    assert_eq!(strange.unwrap_err(), Fault::Stranger);
    for name in ["", "a..b", &"x".repeat(64), &"abc.".repeat(80)] {
        assert_eq!(message::question(1, name).unwrap_err(), Fault::Name, "{name}");
    }
}

fn resolver(servers: &[SocketAddr]) -> Resolver {
    // On a busy machine the servers that answer need some time as well.
    Resolver { servers: servers.to_vec(), patience: Duration::from_secs(1) }
}

/// A server that answers each question by `answer`, first by UDP and then by TCP.
#[expect(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]
async fn server(answer: fn(&[u8], bool) -> Vec<u8>) -> SocketAddr {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut bytes).await.unwrap();
            udp.send_to(&answer(&bytes[..length], false), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut bytes).await.unwrap();
            let answer = answer(&bytes, true);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address
}

fn long(question: &[u8], whole: bool) -> Vec<u8> {
    let (far, near) = (record(9, 2379, "far"), record(1, 2379, "near"));
    if whole {
        reply(question, 0x8180, &[(33, &far), (33, &near)])
    } else {
        reply(question, 0x8380, &[])
    }
}

#[tokio::test]
async fn servers_are_asked_in_turn_and_long_answers_come_by_tcp() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let closed = {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    let misbehaving = server(|question, _| reply(question, 0x8182, &[])).await;
    let good = server(long).await;
    let servers = [silent.local_addr().unwrap(), closed, misbehaving, good];
    let found = resolver(&servers).services(NAME).await.unwrap();
    let hosts: Vec<&str> = found.iter().map(|service| service.host.as_str()).collect();
    assert_eq!(hosts, ["near.example.org", "far.example.org"]);
    let unknown = server(|question, _| reply(question, 0x8183, &[])).await;
    let told = resolver(&[unknown, good]).services(NAME).await.unwrap_err();
    assert_eq!(told, format!("lookup {NAME} on {unknown}: no such host"));
    let told = resolver(&[servers[0]]).services(NAME).await.unwrap_err();
    assert_eq!(told, format!("lookup {NAME} on {}: i/o timeout", servers[0]));
}

#[test]
fn servers_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let text =
        "# x\nsearch example.org\nnameserver 10.0.0.1\nnameserver ::1\nnameserver nonsense\n";
    std::fs::write(&path, text).unwrap();
    let texts = |path: &Path| {
        let servers = Resolver::read(path).servers;
        servers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(texts(&path), ["10.0.0.1:53", "[::1]:53"]);
    assert_eq!(texts(&folder.path().join("missing")), ["127.0.0.1:53"]);
}

//! The commands, their flags and their help.

use std::fmt;
use std::fmt::Write as _;

use super::args::Words;
use super::context::Context;
use super::report::{Refusal, Report};
use super::{csr, init, issue, join, renew, revoke, rotate, serve, status, token, trust, verify};

/// A flag of a command.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its name without dashes.
    pub(super) name: &'static str,
    /// What its value is; a switch has none.
    pub(super) value: Option<&'static str>,
    help: &'static str,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some(value), help }
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, value: None, help }
}

/// Flags every command takes.
const COMMON: &[Flag] = &[
    flag("pki-dir", "DIR", "Where certificates and keys are; /etc/etcd/pki if not given."),
    flag("output", "text|json", "How to answer."),
    switch("help", "Show this help."),
];

const FORCE: Flag = switch("force", "Replace what is there already.");
const SAN: Flag =
    flag("san", "NAME,…", "More host names and addresses the certificate is to be valid for.");
const TTL: Flag = flag("ttl", "90d", "How long it is to be valid: days, years (10y), hours (12h).");

/// One command.
pub(super) struct Command {
    /// The word that names it.
    pub(super) name: &'static str,
    words: &'static str,
    about: &'static str,
    text: &'static str,
    example: &'static str,
    flags: &'static [Flag],
    /// Whether it reads the server's configuration and so takes the server's flags.
    pub(super) takes_server_flags: bool,
    /// Does it.
    pub(super) run: fn(&Words, &Context) -> Result<Report, Refusal>,
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

impl Command {
    /// The flag of that name.
    pub(super) fn flag(&self, name: &str) -> Option<&'static Flag> {
        let name = if name == "h" { "help" } else { name };
        self.flags.iter().chain(COMMON).find(|flag| flag.name == name)
    }

    /// Everything a person may want to know.
    pub(super) fn help(&self) -> String {
        let mut out = format!("{}.\n\n", self.about);
        let more = if self.takes_server_flags { " [flags of the server]" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "Usage:\n\n  etcd cert {}{} [flags]{more}\n", self.name, self.words);
        let _ = writeln!(out, "{}\n", self.text);
        let _ = writeln!(out, "Example:\n\n{}\n\nFlags:\n", self.example);
        for Flag { name, value, help } in self.flags.iter().chain(COMMON) {
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            let _ = writeln!(out, "  --{name}{value}\n    {help}");
        }
        out
    }
}

/// The command of that name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What `etcd cert --help` shows.
pub(super) fn overview() -> String {
    let mut out = String::from(
        "Certificates for etcd, its members and its clients: made, checked, renewed, taken back.\n\n\
         Usage:\n\n  etcd cert COMMAND [flags]\n\nCommands:\n\n",
    );
    for command in COMMANDS {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {:13} {}.", command.name, command.about);
    }
    out.push_str(
        "\nOne directory (--pki-dir, /etc/etcd/pki if not given) holds everything:\n\n\
         \x20 ca.crt                  the root: what clients trust\n\
         \x20 client-ca.crt           signs servers and clients: what client ports trust\n\
         \x20 peer-ca.crt             signs members: what peer ports trust\n\
         \x20 client.crl, peer.crl    what was taken back\n\
         \x20 server.crt, server.key  what this machine shows to clients\n\
         \x20 peer.crt, peer.key      what it shows to other members\n\
         \x20 clients/NAME.crt, .key  what clients show\n\
         \x20 nodes/NAME/             the same for another machine, to be copied there\n\
         \x20 ca/                     keys of the authorities; nobody else may read them\n\n\
         No command replaces a file unless it says so, each may be run again, and\n\
         `etcd cert COMMAND --help` explains it. Exit codes: 0 well, 1 failed or needs attention,\n\
         2 expired (status), or a command line that makes no sense.\n",
    );
    out
}

const CACERT: Flag = flag("cacert", "FILE", "Whom to trust; ca.crt of the directory if not given.");
const TIMEOUT: Flag = flag("timeout", "5s", "How long a connection, and a handshake, may take.");

/// In the order of the overview.
pub(super) static COMMANDS: &[Command] = &[
    INIT,
    SERVE,
    TOKEN,
    JOIN,
    ISSUE,
    STATUS,
    VERIFY,
    CSR,
    SIGN,
    RENEW,
    ROTATE_CA,
    REVOKE,
    EXPORT_TRUST,
];

const INIT: Command = Command {
    name: "init",
    words: "",
    about: "Makes an authority and everything one node needs",
    text: "\
Makes a root, two issuing authorities (one for servers and clients, one for members), certificates
for this machine's server and member, and one for a first client, `admin`. Names and addresses are
found: localhost, the host name, the full name, and the hosts of the server's URLs, which are taken
from the flags, the variables and the file a server would be started with; --san adds more.

What is there is kept, so it may be run again: it then continues where an earlier run stopped, or
says that nothing is missing. --force makes everything anew, authorities included, after which
nothing trusts what was issued before.",
    example: "  etcd cert init --listen-client-urls https://0.0.0.0:2379 \\
    --advertise-client-urls https://10.0.0.5:2379 --san db1.example.org",
    flags: &[
        SAN,
        TTL,
        flag("ca-ttl", "10y", "How long the authorities are to be valid."),
        flag(
            "set",
            "FILE",
            "Also make what this file describes: more members, clients, and clients of another\n    \
             authority; certs-dev/set.yml is one.",
        ),
        flag(
            "owner",
            "USER",
            "Who is to read the keys: the user the server runs as. If not given, whoever owns the\n    \
             directory.",
        ),
        flag("config-out", "FILE", "Also write the configuration the server needs to start."),
        switch(
            "if-needed",
            "Only if the server's own --pki-dir leads to files that are not there, which is how a\n    \
             service makes them at its first start; does nothing otherwise.",
        ),
        flag(
            "issuer",
            "URL,…",
            "Where this machine's server asks for renewal: `etcd cert serve`, on this machine if\n    \
             not given.",
        ),
        FORCE,
    ],
    takes_server_flags: true,
    run: init::run,
};

const SERVE: Command = Command {
    name: "serve",
    words: "",
    about: "Answers machines that join and servers that renew",
    text: "\
Runs beside the authorities, as the user whose directory that is, until it is told to stop. It signs
for whoever shows a token (`etcd cert token create`), registers new members in the cluster as learners
and makes voters of them once they have caught up, and signs new keys for servers whose certificates
have passed two thirds of their life. Every signature is a line in its log. It is a process of its own
so that no key of an authority is in one that serves clients.",
    example: "  etcd cert serve --endpoints https://10.0.0.5:2379",
    flags: &[
        flag("listen", "URL,…", "Where to listen; https://0.0.0.0:2382 if not given."),
        flag("endpoints", "URL,…", "The cluster; https://127.0.0.1:2379 if not given."),
        flag("san", "NAME,…", "More names it is reached by, for tools that look at them."),
        flag("ttl", "90d", "How long what it signs for tokens is to be valid."),
    ],
    takes_server_flags: false,
    run: serve::run,
};

const TOKEN: Command = Command {
    name: "token",
    words: " create|list|revoke ID",
    about: "Makes the one string a new machine needs",
    text: "\
A token allows one machine (or --uses clients) to have its key certified by the issuer for NAME. The
string holds where the issuer is, the pin of the root by which it is known, and a secret of which only
a hash is kept here. It goes to standard output, what to do with it to standard error.",
    example: "  etcd cert token create --role member --name db2 --issuer https://10.0.0.5:2382
  etcd cert token create --role client --name backup --ttl 1d
  etcd cert token list
  etcd cert token revoke 59165c9df9e88ebb",
    flags: &[
        flag("role", "member|client", "What the machine is to be."),
        flag("name", "NAME", "The name in its certificates, and of the member."),
        flag("ttl", "30m", "How long the token is good for."),
        flag("uses", "1", "How many clients may use it; a member's is for one."),
        flag("issuer", "URL,…", "Where the issuer is reached; this machine's name, port 2382."),
        flag("san", "NAME,…", "The only names a member's certificates may carry beside NAME."),
    ],
    takes_server_flags: false,
    run: token::run,
};

const JOIN: Command = Command {
    name: "join",
    words: " TOKEN",
    about: "Makes a member or a client of this machine",
    text: "\
Makes keys here, which stay here, and has the issuer certify them; the issuer must prove to be the one
in the token before it is told anything. For a member it then asks for a place in the cluster, as a
learner that becomes a voter by itself, waits for it if another member is just joining, and writes the
configuration to start with. May be repeated with the same token when it broke off.",
    example: "  etcd cert join etcd1.…
  etcd cert join etcd1.… --peer-url https://10.0.0.6:2380 --client-url https://10.0.0.6:2379",
    flags: &[
        flag("client-url", "URL,…", "Where clients reach it; this machine's address, port 2379."),
        flag("peer-url", "URL,…", "Where members reach it; this machine's address, port 2380."),
        flag("config-out", "FILE", "The configuration; etcd.conf.yml beside the directory."),
        flag("data-dir", "DIR", "Where the member keeps its data."),
        flag("timeout", "5m", "How long to wait for a place in the cluster."),
        SAN,
        switch("force", "Replace keys, certificates and the configuration that are there."),
    ],
    takes_server_flags: false,
    run: join::run,
};

const ISSUE: Command = Command {
    name: "issue",
    words: " server|peer|client NAME",
    about: "Makes a certificate for another machine or another client",
    text: "\
A client's goes to clients/NAME.crt and .key; NAME is its common name, which is the user etcd takes
it for. What another machine needs goes to nodes/NAME: its contents are what that machine has in
/etc/etcd/pki, the authorities' certificates included, and none of their keys. Such a certificate is
valid for NAME, for localhost, 127.0.0.1 and ::1, and for what --san says: a member's must name the
addresses it reaches the others from.",
    example: "  etcd cert issue server db2 --san db2.example.org,10.0.0.6
  etcd cert issue peer db2 --san db2.example.org,10.0.0.6
  etcd cert issue client backup --ttl 30d",
    flags: &[
        SAN,
        TTL,
        flag("out", "DIR", "Write into this directory."),
        flag("bundle", "pem", "Also write certificate, issuer and key into one .pem file."),
        FORCE,
    ],
    takes_server_flags: false,
    run: issue::run,
};

const STATUS: Command = Command {
    name: "status",
    words: " [FILE…]",
    about: "Shows what there is, until when, and what is wrong with it",
    text: "\
Looks at every certificate and revocation list of the directory; or at the files named; or, with
--endpoints, at what servers show in a handshake, for which no certificate of one's own is needed.
`renew` means that two thirds of its life are over. Exit code: 0 all is well, 1 something needs
attention, 2 something has expired.",
    example: "  etcd cert status
  etcd cert status --endpoints https://db1:2379,https://db2:2379 --output json",
    flags: &[flag("endpoints", "URL,…", "Look at these servers instead of files."), TIMEOUT],
    takes_server_flags: false,
    run: status::run,
};

const VERIFY: Command = Command {
    name: "verify",
    words: " URL | --pair CERT KEY",
    about: "Finds out why a connection does not come about",
    text: "\
With a URL: connects, makes a handshake, and tells for each step whether it is as it should be and
how to mend it: whether the server is reached, speaks TLS, shows a chain that leads to --cacert, is
within its dates, may serve, has the name that was asked for, and takes our certificate.
With --pair: whether a key belongs to its certificate, who can read it, dates, chain and purpose.
Exit code: 0 when all is well, 1 when not.",
    example: "  etcd cert verify https://db1:2379
  etcd cert verify --pair /etc/etcd/pki/server.crt /etc/etcd/pki/server.key",
    flags: &[
        switch("pair", "Look at a certificate and a key instead of a server."),
        CACERT,
        flag("cert", "FILE", "The certificate to show; clients/admin.crt if not given."),
        flag("key", "FILE", "Its key."),
        flag("server-name", "NAME", "The name to ask for, if not the one in the URL."),
        TIMEOUT,
    ],
    takes_server_flags: false,
    run: verify::run,
};

const CSR: Command = Command {
    name: "csr",
    words: " server|peer|client NAME",
    about: "Makes a key here and a request for its certificate",
    text: "\
For keys that never leave the machine they are used on. The request is signed where the authority is
(`etcd cert sign`); what travels between the machines is public. A key that is there is used again.
A server's and a member's request name this machine's names, found as `etcd cert init` finds them.",
    example: "  etcd cert csr peer db2 --san 10.0.0.6",
    flags: &[
        SAN,
        flag("out", "DIR", "Write into this directory."),
        switch("force", "Replace a request that is there already; never the key."),
    ],
    takes_server_flags: false,
    run: csr::request,
};

const SIGN: Command = Command {
    name: "sign",
    words: " server|peer|client FILE.csr",
    about: "Signs a request made elsewhere",
    text: "\
The words say what the certificate is to be good for, whatever the request asks. Its names are those
of the request, and are shown; --san gives others instead. The certificate is written beside the
request.",
    example: "  etcd cert sign peer peer.csr",
    flags: &[
        flag("san", "NAME,…", "The host names and addresses, instead of those in the request."),
        flag("name", "NAME", "The common name, instead of that in the request."),
        TTL,
        flag("out", "FILE", "Where the certificate goes."),
        FORCE,
    ],
    takes_server_flags: false,
    run: csr::sign,
};

const RENEW: Command = Command {
    name: "renew",
    words: " [NAME…|--all]",
    about: "Makes anew what has passed two thirds of its life",
    text: "\
Keeps names, purpose and length of life, and makes a fresh key. Without a name all certificates of
the directory are looked at; a name is `server`, `peer`, that of a client, or that of a node. A
server that runs sees the new files by itself. Fit for a daily timer: what is not due is left alone.

On a machine that has no authority the issuer is asked that issuer.json names, and tells whom to trust;
so the certificates of clients that joined are kept good.",
    example: "  etcd cert renew
  etcd cert renew server --san db1.example.org",
    flags: &[
        switch("all", "All certificates; the same as no name."),
        flag("san", "NAME,…", "Names to add; renews now."),
        flag("ttl", "90d", "Another length of life than before."),
        switch("force", "Renew now, due or not."),
    ],
    takes_server_flags: false,
    run: renew::run,
};

const ROTATE_CA: Command = Command {
    name: "rotate-ca",
    words: " start|status|finish|abort",
    about: "Replaces the root and both issuing authorities while all goes on",
    text: "\
start makes new authorities beside the old ones and has both trusted; it waits until each member has
reported that it does, then the new ones sign, and every certificate is made anew: members do that by
themselves, clients by `etcd cert renew` or with new copies of clients/*. finish drops the old
authorities, once nothing that is in use is of them. abort drops the new ones instead. `etcd cert serve`
must run meanwhile, and the old root's key must be here. Each command may be repeated.

Clients that know only the old root are never shut out: servers also show the new authority as the old
root signed it.",
    example: "  etcd cert rotate-ca start
  etcd cert rotate-ca status
  etcd cert rotate-ca finish",
    flags: &[
        flag("endpoints", "URL,…", "The cluster; https://127.0.0.1:2379 if not given."),
        flag("timeout", "5m", "How long to wait for members."),
        flag("ca-ttl", "10y", "How long the new authorities are to be valid."),
        switch("force", "When the time is over, go on without what is missing."),
    ],
    takes_server_flags: false,
    run: rotate::run,
};

const REVOKE: Command = Command {
    name: "revoke",
    words: " SERIAL|NAME|FILE",
    about: "Takes certificates back before their end",
    text: "\
Puts one certificate, or all current ones of a name, on the revocation list of their authority:
client.crl (--client-crl-file) or peer.crl (--peer-crl-file). A server that was told of the list
reads it again when it changes, closes what is open under the certificate, and passes the list on to
the other members of its cluster.",
    example: "  etcd cert revoke backup
  etcd cert revoke 59165c9df9e88ebbfc37f119df1acf27",
    flags: &[],
    takes_server_flags: false,
    run: revoke::run,
};

const EXPORT_TRUST: Command = Command {
    name: "export-trust",
    words: "",
    about: "Writes the root certificate and tells its fingerprints",
    text: "\
The certificate, which is all a client needs to trust servers, goes to standard output, or to the
file --out names; its fingerprints go to standard error.",
    example: "  etcd cert export-trust > ca.crt",
    flags: &[flag("out", "FILE", "Write into this file."), FORCE],
    takes_server_flags: false,
    run: trust::run,
};

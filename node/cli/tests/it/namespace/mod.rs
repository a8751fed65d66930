//! A network namespace of the test's own, with its own name server: for what a machine's network does to a node. Needs
//! root; a test that cannot make one says so and ends.

use std::{
    fs,
    io::Write,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

pub mod dns;

/// Removed when dropped; what runs in it must have ended before.
pub struct Namespace {
    pub name: String,
    etc: PathBuf,
}

/// Absolute, as the daemons get no environment.
fn ip() -> Command {
    let known = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"];
    let path = known.iter().find(|path| fs::exists(path).unwrap_or(false));
    Command::new(path.unwrap_or(&"ip"))
}

fn works(command: &mut Command) -> bool {
    let output = command.output();
    let good = output.as_ref().is_ok_and(|output| output.status.success());
    if !good {
        println!("{command:?}: {output:?}");
    }
    good
}

impl Namespace {
    /// With loopback up and the name server at `127.0.0.53`. None, and a word about it, where namespaces cannot be made.
    pub fn new(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deut-{}-{number}", std::process::id());
        let etc = PathBuf::from("/etc/netns").join(&name);
        if !works(ip().args(["netns", "add", &name])) {
            println!("skipped: {test} needs root and a network namespace");
            return None;
        }
        let it = Self { name, etc };
        fs::create_dir_all(&it.etc).expect("as root");
        // Nobody waits for a name server longer than for this one, if it does not answer.
        let text = "nameserver 127.0.0.53\noptions timeout:30 attempts:5\n";
        fs::write(it.etc.join("resolv.conf"), text).expect("as root");
        assert!(it.ip(&["link", "set", "lo", "up"]), "a loopback interface");
        Some(it)
    }

    /// `ip` for this namespace.
    pub fn ip(&self, arguments: &[&str]) -> bool {
        works(ip().args(["-n", &self.name]).args(arguments))
    }

    /// The same command, inside: with the same process id as the program it becomes.
    pub fn inside(&self, outside: &Command) -> Command {
        let mut command = ip();
        command.args(["netns", "exec", &self.name]);
        command.arg(outside.get_program()).args(outside.get_args());
        command.env_clear();
        for (name, value) in outside.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(directory) = outside.get_current_dir() {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        works(ip().args(["netns", "del", &self.name]));
        let _ = fs::remove_dir_all(&self.etc);
    }
}

/// The name server of a namespace: this test binary once more, told on its standard input what to answer.
pub struct NameServer {
    child: Child,
    names: ChildStdin,
}

impl NameServer {
    pub fn start(space: &Namespace) -> Self {
        let mut itself = Command::new(std::env::current_exe().expect("this binary"));
        itself
            .args([
                "--exact",
                "namespace::dns::a_name_server_answers_what_it_was_told",
            ])
            .args(["--ignored", "--nocapture"])
            .env(dns::ADDRESS, "127.0.0.53:53");
        let mut inside = space.inside(&itself);
        inside.stdin(Stdio::piped()).stdout(Stdio::null());
        // It ends with this process, whatever happens: its standard input does.
        inside.process_group(0);
        let mut child = inside.spawn().expect("runs");
        let names = child.stdin.take().expect("piped");
        Self { child, names }
    }

    /// From now on this name has these addresses; none: it does not answer for it at all.
    pub fn set(&mut self, name: &str, addresses: &[IpAddr]) {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        writeln!(self.names, "{name} {}", addresses.join(" ")).expect("it listens");
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket that asks, for the test of the name server itself.
pub fn asker(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("connected");
    socket
}

//! A real MQTT broker on a free port of this machine: Debian's `mosquitto`, started and stopped by the test.

use crate::place::Place;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A broker that keeps sessions and messages over a restart, as Debian's configuration does.
pub struct Mosquitto {
    place: Place,
    port: u16,
    running: Option<Child>,
}

fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), "/usr/local/sbin".into()]);
    places.map(|dir| dir.join("mosquitto")).find(|path| path.is_file())
}

impl Mosquitto {
    /// One that runs; `None`, said aloud, when it is not installed. With `MOSQUITTO_REQUIRED` that is a failure.
    pub fn start() -> Option<Self> {
        if binary().is_none() {
            let why = "skipped: mosquitto not installed, apt-get install mosquitto";
            assert!(std::env::var_os("MOSQUITTO_REQUIRED").is_none(), "{why}");
            // Not captured by the test harness, so that nobody takes a skipped test for a passed one.
            use std::io::Write;
            writeln!(std::io::stderr(), "{why}").expect("stderr");
            return None;
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut broker = Mosquitto { place: Place::new("mosquitto"), port, running: None };
        let dir = broker.place.0.display();
        // `user` counts only for root, who would otherwise become somebody who cannot write here.
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_type error\n\
             persistence true\npersistence_location {dir}/\n"
        );
        std::fs::write(broker.place.path("mosquitto.conf"), config).expect("written");
        broker.go_on();
        Some(broker)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Starts it again.
    pub fn go_on(&mut self) {
        let mut command = Command::new(binary().expect("installed"));
        command.arg("-c").arg(self.place.path("mosquitto.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().expect("the broker starts"));
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the broker does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it as an administrator would: it writes down what it keeps.
    pub fn stop(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        let told = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        assert!(told.success());
        child.wait().expect("it ends");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

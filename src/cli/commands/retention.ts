import type {Command as Program} from 'commander';
import {retentionPreviewSchema, retentionReplySchema} from '#contract/retention.ts';
import {type Act, print, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

/** What the policy says to erase after a while. */
export function retentionCommands(program: Program, act: Act): void {
	const retention = program.command('retention').description('content whose time is over by the policy');
	retention
		.command('preview', {isDefault: true})
		.description('what would be erased now, by rule; nothing is')
		.action(
			act(async ({connect, io, json}) => {
				const reply = await (await connect()).fetch('/api/v1/retention/preview');
				const preview = retentionPreviewSchema.parse(await reply.json());
				if (json) return printJson(io, preview);
				const rows = preview.rules.map(({rule, days, runs, bytes}) => [rule, `${days}`, `${runs}`, `${bytes}`]);
				print(io, rows.length > 0 ? renderTable(['rule', 'days', 'runs', 'bytes'], rows, io) : 'nothing is due');
				print(io, `${preview.runs} runs, ${preview.bytes} bytes; ${preview.holds} holds in force`);
			}),
		);
	retention
		.command('run')
		.description('erase now what is due; held content stays, and each erasure is on record')
		.action(
			act(async ({connect, io, json}) => {
				const reply = await (await connect()).fetch('/api/v1/retention/run', {method: 'POST'});
				const done = retentionReplySchema.parse(await reply.json());
				if (json) return printJson(io, done);
				const {erased, bytesBefore, bytesAfter, files, snapshots, isDone} = done;
				print(
					io,
					`erased the content of ${erased} runs, ${bytesBefore - bytesAfter} bytes, ${files} files, and ${snapshots} snapshots of datasets`,
				);
				if (!isDone) print(io, 'there is more to do: run it again');
			}),
		);
}

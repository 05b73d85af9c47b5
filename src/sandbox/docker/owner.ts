/** Whose a container is, written on it as labels, so that what a dead server left behind is known by whoever comes after. */
import {randomUUID} from 'node:crypto';
import {readFileSync, readlinkSync} from 'node:fs';
import {z} from 'zod';
import {isAlive, readIdentity} from '../process-identity.ts';
import {type DockerApi, statusOf} from './api.ts';

const OWNER = 'dev.writ.owner';
const HOST = 'dev.writ.host';
const INSTANCE = 'dev.writ.instance';
const STARTED = 'dev.writ.started';

export type Owner = {
	readonly instance: string;
	/** for a container that is made now */
	labels(): Readonly<Record<string, string>>;
};

export function createOwner(): Owner {
	const {pid, startedAt} = readIdentity('self');
	const instance = randomUUID();
	const labels = {[OWNER]: `${pid}-${startedAt}`, [HOST]: hostOfProcesses(), [INSTANCE]: instance};
	return {instance, labels: () => ({...labels, [STARTED]: new Date().toISOString()})};
}

/** A process id means something only until the machine starts anew, and only among the processes that share its namespace. */
function hostOfProcesses(): string {
	return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
}

const containersSchema = z.array(
	z.looseObject({Id: z.string(), Names: z.array(z.string()), State: z.string(), Labels: z.record(z.string(), z.string())}),
);
type Container = z.infer<typeof containersSchema>[number];

/** Removes the containers of owners that died, and those of this owner that `isLive` does not know. Resolves with how many. */
export async function sweepContainers(api: DockerApi, {instance}: Owner, isLive: (name: string) => boolean): Promise<number> {
	const query = {all: 'true', filters: JSON.stringify({label: [OWNER]})};
	const found = await api.call('GET', '/containers/json', containersSchema, {query});
	// The engine writes a name as a path.
	const isOurs = ({Names, Labels}: Container) => Labels[INSTANCE] === instance && !Names.some((name) => isLive(name.slice(1)));
	const orphans = found.filter((container) => isOurs(container) || isOrphan(container));
	await Promise.all(orphans.map(({Id}) => removeContainer(api, Id)));
	return orphans.length;
}

function isOrphan({State, Labels}: Container): boolean {
	const [pid = 0, startedAt = 0] = Labels[OWNER]?.split('-').map(Number) ?? [];
	if (Labels[HOST] === hostOfProcesses()) return !isAlive({pid, startedAt});
	const [boot] = Labels[HOST]?.split(' ') ?? [];
	// A server that we cannot see may be alive, unless the machine was started anew since.
	return State !== 'running' && boot !== hostOfProcesses().split(' ')[0];
}

/** Kills what runs inside, too. Resolves when nothing of it is left. */
export async function removeContainer(api: DockerApi, container: string): Promise<void> {
	try {
		await api.call('DELETE', `/containers/${container}`, z.unknown(), {query: {force: 'true', v: 'true'}});
	} catch (error) {
		if (statusOf(error) === 404) return;
		if (statusOf(error) !== 409) throw error;
		// Somebody removes it already.
		await api.call('POST', `/containers/${container}/wait`, z.unknown(), {query: {condition: 'removed'}}).catch((cause) => {
			if (statusOf(cause) !== 404) throw cause;
		});
	}
}

import {useMutation, useQuery} from '@tanstack/react-query';
import type {FormEvent} from 'react';
import type {Explanation} from '#contract/policy-api.ts';
import {explainDecision, toolsQuery} from '../api/queries.ts';
import {Decided} from '../evidence/facts.tsx';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';

/** What would be decided on an action that nobody has proposed, and why. It proposes nothing. */
export function Explain() {
	const {data: tools} = useQuery(toolsQuery);
	const ask = useMutation({
		mutationFn: ({tool, input, as}: {tool: string; input: string; as: string}) =>
			explainDecision({tool, input: readJson(input), ...(as === '' ? {} : {as})}),
	});
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		ask.mutate({tool: String(form.get('tool')), input: String(form.get('input')), as: String(form.get('as')).trim()});
	};
	return (
		<section aria-label="Explain a decision" className="rounded-md border border-line">
			<h2 className="border-line border-b bg-panel px-3 py-1.5 text-xs">Would it be allowed?</h2>
			<form onSubmit={submit} className="flex flex-col gap-2 p-3">
				<div className="flex flex-wrap gap-2">
					<select name="tool" aria-label="Tool to ask about" className={FIELD}>
						{tools?.map(({name}) => (
							<option key={name}>{name}</option>
						))}
					</select>
					<input
						name="as"
						aria-label="On behalf of"
						placeholder="you, or agent:analyst"
						spellCheck={false}
						className={`${FIELD} w-48`}
					/>
					<Button look="primary" type="submit" disabled={ask.isPending}>
						Explain
					</Button>
				</div>
				<textarea
					name="input"
					aria-label="Its input, as JSON"
					defaultValue={'{"dataset_id": "support", "sql": "SELECT count(*) FROM tickets"}'}
					rows={3}
					spellCheck={false}
					className={`${FIELD} h-auto w-full py-1 font-mono leading-5`}
				/>
				{ask.isError && <ErrorNotice error={ask.error} />}
				<div aria-live="polite">{ask.data && <Answer explanation={ask.data} />}</div>
			</form>
		</section>
	);
}

function Answer({explanation: {tool, principal, now}}: {readonly explanation: Explanation}) {
	if (now === null) return <p className="text-warn text-xs">The tool refuses this input, so no gate would judge it.</p>;
	return <Decided title={`${principal.kind} ${principal.id} uses ${tool}`} decision={now} />;
}

function readJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new Error('The input is not JSON. Write an object, such as {"dataset_id": "support"}.');
	}
}

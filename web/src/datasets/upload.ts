import {ApiError, authorized, readError} from '../api/client.ts';
import type {DatasetSummary} from '../api/queries.ts';

/** Sends files as one dataset. `fetch` cannot tell how much has been sent; this can. */
export function upload(files: readonly File[], onProgress: (part: number) => void, signal: AbortSignal): Promise<DatasetSummary> {
	const {promise, resolve, reject} = Promise.withResolvers<DatasetSummary>();
	const request = new XMLHttpRequest();
	const body = new FormData();
	for (const file of files) body.append('file', file, file.name);
	request.open('POST', '/datasets');
	for (const [name, value] of authorized({accept: 'application/json'})) request.setRequestHeader(name, value);
	request.upload.addEventListener('progress', ({loaded, total}) => onProgress(total > 0 ? loaded / total : 0));
	request.addEventListener('load', () => {
		if (request.status === 201) resolve(JSON.parse(request.responseText) as DatasetSummary);
		else reject(readError(request.status, request.responseText));
	});
	request.addEventListener('error', () =>
		reject(
			new ApiError('unreachable', 'The upload was cut off.', {
				hint: 'The server may have refused a file this large, or gone away.',
			}),
		),
	);
	request.addEventListener('abort', () => reject(new ApiError('aborted', 'The upload was stopped.')));
	signal.addEventListener('abort', () => request.abort(), {once: true});
	request.send(body);
	return promise;
}
